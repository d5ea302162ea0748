"""How long each recovery took: measured by the tests, kept in a file, rendered by ``tests.faults.report``."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

# The file in which measurements are kept; without it they are only checked.
VARIABLE: Final = "DARKROOM_FAULT_TIMES"


@dataclass(frozen=True)
class Time:
    """One measurement of one row of the fault table; neither time nor bound where there is only a promise."""

    row: str
    seconds: float | None = None
    bound: float | None = None


def record(row: str, seconds: float, bound: float) -> None:
    """Keep a measurement and check it against its bound."""
    _write(Time(row, round(seconds, 3), bound))
    assert seconds <= bound, f"{row} took {seconds:.2f}, its bound is {bound:g}"


def held(row: str) -> None:
    """Keep that a promise without a time was held."""
    _write(Time(row))


def read(source: Path) -> list[Time]:
    """Return the measurements in a file."""
    return [Time(**json.loads(line)) for line in source.read_text(encoding="utf-8").splitlines()]


def _write(time: Time) -> None:
    if kept_in := os.environ.get(VARIABLE):
        with Path(kept_in).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(time)) + "\n")
