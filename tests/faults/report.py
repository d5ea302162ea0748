"""Writes docs/reliability.md from what the tests measured.

DARKROOM_FAULT_TIMES=times.jsonl python -m pytest tests/faults
python -m tests.faults.report times.jsonl

Runs of chaos are kept by ``tests.faults.chaos`` in a file of their own, beside the times.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from shared.settings import REPO_ROOT
from tests.faults import times
from tests.faults.chaos import RUNS as CHAOS_RUNS
from tests.faults.rows import ROWS, Measured
from tests.faults.times import Time

TARGET: Final = REPO_ROOT / "docs" / "reliability.md"
HEAD: Final = """# What breaks, what holds, and how long it takes

Every row is a test in `tests/faults`: real processes, a real Valkey, a TCP proxy for what happens on the
wire, the real worker around a light engine (the rows that an engine has a part in also run with the real
one). After each of them an independent checker reads Redis and the engines' logs: every accepted job ended
once, its result is what the winning attempt drew, and nothing is left over. The times are measured by the
tests; a lease is 5 s, renewed every second, and lapsed ones are looked for every half second.

This page is made by `python -m tests.faults.report`; `make chaos` breaks everything at random.

| fault | what holds | measured | bound | median | worst | runs |
| --- | --- | --- | --- | --- | --- | --- |
"""


CHAOS_HEAD: Final = """
## Everything at random

`make chaos`: the faults above at random moments, chosen by the seed, under callers who wait, follow, stream,
hang up, cancel, repeat themselves, insist elsewhere, want another picture of the same, want its address, and
ask for dozens at once; under batches of low jobs; with webhooks, whose receiver refuses, hangs or drops every
fifth request; and with couriers that are killed and frozen like workers. A problem is an accepted job that
did not end exactly once, one that failed for no reason of its own, a result that is not the winning
attempt's, a picture that a caller was given twice, an object that is left, a line of a batch that is not
answered once, a wanted end that the receiver was not told, one told before its time, otherwise than it was
or with a wrong signature, a lease, counter, key, subscription or thread that is left, or a bug that a process
logged.

| seed | length | workers | faults | jobs accepted | succeeded / cancelled / failed | problems |
| --- | --- | --- | --- | --- | --- | --- |
"""


def render(measured: Iterable[Time], runs: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return the page.

    Args:
        measured: what the tests measured.
        runs: what runs of chaos came to, as they were kept.
    """
    page = _table(measured)
    lines = [f"| {' | '.join(_chaos(run))} |\n" for run in runs]
    return page + CHAOS_HEAD + "".join(lines) if lines else page


def _chaos(run: Mapping[str, Any]) -> list[str]:
    ended = run["statuses"]
    ends = " / ".join(str(ended.get(status, 0)) for status in ("succeeded", "cancelled", "failed"))
    whole = (
        run["seed"],
        f"{run['seconds']:g} s",
        run["workers"],
        sum(run["faults"].values()),
        run["accepted"],
    )
    return [*map(str, whole), ends, str(len(run["problems"]))]


def _table(measured: Iterable[Time]) -> str:
    by_name: dict[str, list[Time]] = defaultdict(list)
    for time in measured:
        by_name[time.row].append(time)
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in _lines(by_name))


def _lines(by_name: dict[str, list[Time]]) -> Iterator[list[str]]:
    for row in ROWS:
        for number, measured in enumerate(row.measured):
            first = [row.fault, row.holds] if number == 0 else ["", ""]
            yield [*first, *_numbers(measured, by_name.get(measured.name, []))]


def _numbers(measured: Measured, runs: list[Time]) -> list[str]:
    seconds = [time.seconds for time in runs if time.seconds is not None]
    bounds = {time.bound for time in runs if time.bound is not None}
    if not seconds:
        return [measured.what, "", "", "", str(len(runs)) if runs else "not run"]
    bound = " or ".join(f"{bound:g}" for bound in sorted(bounds))
    worst, median = max(seconds), statistics.median(seconds)
    return [
        measured.what,
        f"{bound} {measured.unit}",
        f"{median:.2f} {measured.unit}",
        f"{worst:.2f} {measured.unit}",
        str(len(runs)),
    ]


def main() -> int:
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="write docs/reliability.md from measured times")
    parser.add_argument("source", type=Path)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    kept = CHAOS_RUNS.read_text(encoding="utf-8").splitlines() if CHAOS_RUNS.exists() else []
    page = render(times.read(arguments.source), map(json.loads, kept))
    arguments.target.write_text(page, encoding="utf-8")
    sys.stdout.write(f"wrote {arguments.target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
