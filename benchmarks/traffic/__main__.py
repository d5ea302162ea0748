"""Held calls, large pictures, submissions, starts: ours and the usual pattern, in turn, in one run.

    python -m benchmarks.traffic [--parts submissions pictures urls held starts] [--calls 5000] [--rate 500]

One API process each, Valkey, and a client on plain sockets, all on the cores of this machine: quote the
ratios. Nothing is drawn: jobs end when the benchmark says so, the same way on both sides. The usual pattern
is FastAPI with Celery's result backend, whose route waits in the event loop (``poll``, five times a second)
or in FastAPI's thread pool (``threads``).
"""

import argparse
import asyncio
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.traffic.measures import (
    PICTURE_BYTES,
    Addressed,
    Held,
    addressed,
    copied_ms,
    hold,
    picture_ms,
    submits,
)
from benchmarks.traffic.sides import Side, ours, usual, wait_answering
from benchmarks.traffic.starting import starts

SIDES: Final[dict[str, Callable[[Path], AbstractContextManager[Side]]]] = {
    "ours": ours,
    "poll": partial(usual, way="poll"),
    "threads": partial(usual, way="threads"),
}


PARTS: Final = ("submissions", "pictures", "urls", "held", "starts")


def share(values: Sequence[float], part: float) -> float:
    """Return a percentile of sorted values; not a number where there are none."""
    return values[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def held_line(name: str, held: Held) -> str:
    """Return a line of the table of held calls."""
    cells = [
        f"{held.asked}",
        f"{held.submitted}",
        f"{held.bytes_a_call / 1024:.1f}",
        f"{share(held.others_ms, 0.5):.1f} / {share(held.others_ms, 0.99):.1f}",
        f"{share(held.others_ending_ms, 0.5):.1f} / {share(held.others_ending_ms, 0.99):.1f}",
        " / ".join(f"{1000 * share(held.woken_s, part):.0f}" for part in (0.5, 0.99, 1)),
        f"{held.errors}",
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def held_calls(sides: Sequence[str], calls: int, a_second: float) -> None:
    """Print the table of held calls."""
    print(f"\n{calls} held calls, then {a_second:g} jobs end a second")
    print("| side | calls | jobs before any ended | KiB a call | GET, nothing ends, ms p50 / p99 ", end="")
    print("| GET, jobs end, ms p50 / p99 | woken after, ms p50 / p99 / most | errors |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in sides:
        start = SIDES[name]
        with TemporaryDirectory() as folder, start(Path(folder)) as side:
            wait_answering(side)
            url = _redis_of(side)
            held = asyncio.run(hold(side, name, url, calls, a_second, Path(folder)))
            print(held_line(side.name, held), flush=True)


def pictures(rounds: int) -> None:
    """Print what a large picture costs the API."""
    costs: dict[str, list[float]] = {"ours": [], "poll": []}
    floor: list[float] = []
    for _ in range(rounds):
        with TemporaryDirectory() as folder:
            floor.append(asyncio.run(copied_ms(Path(folder), PICTURE_BYTES, 300)))
        print(f"two plain sockets: 2 MB {floor[-1]:.2f} ms of CPU", flush=True)
        for name, found in costs.items():
            with TemporaryDirectory() as folder, SIDES[name](Path(folder)) as side:
                wait_answering(side)
                large, small = asyncio.run(picture_ms(side, 300))
                found.append(large - small)
                print(
                    f"{side.name}: result of 2 MB {large:.2f} ms, of 1 KB {small:.2f} ms of CPU", flush=True
                )
    print(f"two plain sockets: 2 MB cost {statistics.median(floor):.2f} ms of CPU")
    for name, found in costs.items():
        print(f"{name}: 2 MB cost {statistics.median(found):.2f} ms of CPU more than 1 KB")


def urls(rounds: int) -> None:
    """Print what the same picture costs where its caller asks for an address."""
    found: list[Addressed] = []
    for _ in range(rounds):
        with TemporaryDirectory() as folder, ours(Path(folder)) as side:
            wait_answering(side)
            found.append(asyncio.run(addressed(side, 300)))
    answer = statistics.median(each.answer_ms for each in found)
    fetch = statistics.median(each.fetch_ms for each in found)
    print(f"ours, by URL: the answer {answer:.2f} ms of CPU, 1.5 MB from a folder {fetch:.2f} ms")
    print(f"in Redis: {found[0].redis_bytes} bytes, as base64 {found[0].redis_base64_bytes}", flush=True)


def submissions(seconds: float) -> None:
    """Print how many submissions a second there are."""
    sides = {"ours": ours, "ours, two processes": partial(ours, processes=2), "usual": SIDES["poll"]}
    for name, start in sides.items():
        with TemporaryDirectory() as folder, start(Path(folder)) as side:
            wait_answering(side)
            rate, bad, took_ms = asyncio.run(submits(side, seconds, connections=32))
            print(
                f"{name}: {rate:.0f} submissions a second, {bad} refused, "
                f"ms p50 {share(took_ms, 0.5):.1f}, p99 {share(took_ms, 0.99):.1f}",
                flush=True,
            )


def start_of_work(times: int) -> None:
    """Print how long a job waits for an idle worker."""
    with TemporaryDirectory() as folder:
        found = starts(Path(folder), times)
    for what, took_ms in (("answered", found.answered_ms), ("started", found.started_ms)):
        print(
            f"ours: {what} after ms p50 {share(took_ms, 0.5):.1f}, p99 {share(took_ms, 0.99):.1f}", flush=True
        )


def _redis_of(side: Side) -> str:
    environment = side.api.program.environment
    return environment.get("DARKROOM_REDIS__URL") or environment["USUAL_REDIS"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000, help="held calls")
    parser.add_argument("--rate", type=float, default=500, help="jobs that end a second")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of large pictures")
    parser.add_argument("--seconds", type=float, default=10, help="of submissions")
    parser.add_argument("--starts", type=int, default=300, help="jobs on an idle worker")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=[*SIDES], help="whose held calls")
    options = parser.parse_args()
    measures = {
        "submissions": lambda: submissions(options.seconds),
        "pictures": lambda: pictures(options.rounds),
        "urls": lambda: urls(options.rounds),
        "held": lambda: held_calls(options.sides, options.calls, options.rate),
        "starts": lambda: start_of_work(options.starts),
    }
    for part in options.parts:
        measures[part]()


if __name__ == "__main__":
    main()
