"""What a job, a worker and a picture cost Redis, and at how many of them it is full.

    python -m benchmarks.store [--quick]

The service's own clients run its own scripts on a server with an append-only file, as in production; there is
no API, no worker and no Celery around them. What counts is the server's CPU time, which it says itself: a
server has one thread for commands, so a core that is full is its end. The rates come from several processes
at once, on the cores of this machine, which they share with the server.
"""

import argparse
from collections.abc import Callable, Iterable
from typing import Final

from benchmarks.store.cycler import rate
from benchmarks.store.measures import HELD, PICTURE, calls, fill, fleet, memory, picture, readers_us
from benchmarks.store.played import PROMPT, Played, served
from benchmarks.store.workers import idle

OWNERS: Final = (2, 1000)
QUEUED: Final = (10, 10_000)


def cells(size: int) -> list[tuple[int, int]]:
    """Return owners and queued jobs of each row; ``size`` divides the large numbers."""
    return [(owners, max(10, queued // size)) for owners in OWNERS for queued in QUEUED]


def table(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table as Markdown."""
    lines = [tuple(heads)]
    lines += [("---",) * len(lines[0]), *map(tuple, rows)]
    print(f"\n{title}\n")
    print("\n".join("| " + " | ".join(line) + " |" for line in lines), flush=True)


def of_calls(played: Played, url: str, size: int) -> None:
    """Print what each call costs."""
    del url
    found = [(owners, queued, calls(played, owners, queued, 1000 // size)) for owners, queued in cells(size)]
    calls_of = ("submit", "claim", "draft and finish", "the three", f"renew {HELD}", "hold a call")
    table(
        "CPU of the server, µs",
        ("owners", "queued", *calls_of),
        (
            (
                f"{owners:,}",
                f"{queued:,}",
                *(f"{us:.0f}" for us in (cost.submit, cost.claim, cost.finish, cost.job, cost.renew)),
                f"{cost.hold:.1f}",
            )
            for owners, queued, cost in found
        ),
    )


def of_rates(played: Played, url: str, size: int) -> None:
    """Print how many whole jobs a second several processes do."""
    rows = []
    for owners, queued in cells(size):
        for processes in (1, 2, 4):
            fill(played, owners, queued)
            found = rate(played, url, processes, owners, 6 / size)
            share, most = f"{100 * found.server_share:.0f} %", f"{found.ceiling:.0f}"
            rows.append(
                (f"{owners:,}", f"{queued:,}", str(processes), f"{found.jobs_a_second:.0f}", share, most)
            )
    heads = ("owners", "queued", "processes", "jobs/s", "of a core, the server", "jobs/s at a full core")
    table("Whole jobs: submit, claim, renew, finish", heads, rows)


def of_fleets(played: Played, url: str, size: int) -> None:
    """Print what many workers cost by being there."""
    del url
    found = [(held, fleet(played, 1000 // size, held)) for held in (0, 1, HELD)]
    table(
        f"{1000 // size:,} workers: share of the server's core",
        ("jobs held by each", "heartbeats", "progress", "tries to reap", "together"),
        (
            (
                str(held),
                *(f"{100 * share:.1f} %" for share in (cost.renew, cost.progress, cost.reap, cost.share)),
            )
            for held, cost in found
        ),
    )


def of_readers(played: Played, url: str, size: int) -> None:
    """Print what API processes cost that wait for jobs to end."""
    rows = ((str(n), f"{readers_us(played, url, n, 600 // size):.0f}") for n in (0, 4, 16))
    table("API processes that wait", ("processes", "claim, draft and finish, µs"), rows)


def of_sizes(played: Played, url: str, size: int) -> None:
    """Print what pictures and jobs take."""
    del url
    found = picture(played, 200 // size)
    beyond = (found.memory_bytes - len(PICTURE), found.file_bytes - len(PICTURE))
    table(
        f"A picture of {len(PICTURE):,} bytes of base64",
        ("written, ms of CPU", "read, ms of CPU", "memory beyond it, bytes", "file beyond it, bytes"),
        [(f"{found.write_ms:.2f}", f"{found.read_ms:.2f}", *(f"{each:,.0f}" for each in beyond))],
    )
    rows = []
    for owners in (2, 1000):
        taken = memory(played, owners, 10_000 // size)
        rows.append((f"{owners:,}", *(f"{each:,.0f}" for each in (taken.queued, taken.finished, taken.file))))
    table(
        f"A job with a prompt of {len(PROMPT)} characters, bytes",
        ("owners", "queued, in memory", "finished, without its picture", "written to the file in its life"),
        rows,
    )


def of_workers(played: Played, url: str, size: int) -> None:
    """Print what a real worker costs by being there, on a server of its own."""
    del played, url
    found = idle(2, 14 if size == 1 else 4, 10 / size)
    table(
        "A real worker that has nothing to do, beside others",
        ("share of the server's core", "commands/s", "connections"),
        [(f"{100 * found.share:.3f} %", f"{found.commands:.1f}", f"{found.connections:.1f}")],
    )


PARTS: Final[dict[str, Callable[[Played, str, int], None]]] = {
    "calls": of_calls,
    "rates": of_rates,
    "fleets": of_fleets,
    "readers": of_readers,
    "sizes": of_sizes,
    "workers": of_workers,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: does it run?")
    options = parser.parse_args()
    for name in options.parts or PARTS:
        with served() as (played, server):
            said = played.client.info("server")
            print(
                f"\n## {name}: {server.binary.path.name} {said.get('valkey_version', said['redis_version'])}"
            )
            PARTS[name](played, server.url, 10 if options.quick else 1)


if __name__ == "__main__":
    main()
