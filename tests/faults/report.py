"""Writes docs/reliability.md from what the tests measured.

DARKROOM_FAULT_TIMES=times.jsonl python -m pytest tests/faults
python -m tests.faults.report times.jsonl
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from shared.settings import REPO_ROOT
from tests.faults import times
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


def render(measured: Iterable[Time]) -> str:
    """Return the page."""
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
    parser.add_argument("source", type=Path, nargs="?", default=times.path())
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    arguments.target.write_text(render(times.read(arguments.source)), encoding="utf-8")
    sys.stdout.write(f"wrote {arguments.target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
