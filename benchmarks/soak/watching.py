"""What processes take while they run: memory, open files, threads; how fast it grows; and who has ended."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

from tests.faults.harness.lasting import lasting

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Taken:
    """What one process took at one moment."""

    at_s: float
    memory_bytes: int
    files: int
    threads: int


def taken(pid: int, at_s: float) -> Taken | None:
    """Look at a process; None where it has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        pages = int((folder / "statm").read_text().split()[1])
        seen = Taken(at_s, pages * _PAGE, _count(folder / "fd"), _count(folder / "task"))
    except OSError:
        return None
    # What has ended and was not waited for has no memory.
    return seen if pages else None


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def growths(samples: Sequence[Taken], parts: int = 3) -> list[float]:
    """Return bytes a second by which memory grew in each part of a run, all of the same length.

    In the first a process still imports, fills its caches and opens its connections. What goes on growing as
    fast in the last as in the one before it, leaks.
    """
    bounds = [len(samples) * part // parts for part in range(parts + 1)]
    return [_slope(samples[begin:end]) for begin, end in pairwise(bounds)]


def _slope(samples: Sequence[Taken]) -> float:
    """Return bytes a second: the least-squares slope."""
    if len(samples) < 2:  # noqa: PLR2004 - one point has no slope
        return 0.0
    mean_at = sum(each.at_s for each in samples) / len(samples)
    mean = sum(each.memory_bytes for each in samples) / len(samples)
    spread = sum((each.at_s - mean_at) ** 2 for each in samples)
    return sum((each.at_s - mean_at) * (each.memory_bytes - mean) for each in samples) / spread


class Watch:
    """Looks at processes every so often, for as long as the context lasts.

    Args:
        pids: processes by name.
        every_s: how often.
    """

    def __init__(self, pids: Mapping[str, int], every_s: float) -> None:
        self.samples: dict[str, list[Taken]] = defaultdict(list)
        self.ended: dict[str, float] = {}
        """Processes that have ended, and when that was seen, in seconds."""
        self._pids = pids
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._began_at = time.monotonic()

    async def __aenter__(self) -> Self:
        self._began_at = time.monotonic()
        self._task = asyncio.create_task(self._look_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
        self.look()

    def look(self) -> None:
        """Look once."""
        for name, pid in self._pids.items():
            at_s = time.monotonic() - self._began_at
            seen = taken(pid, at_s)
            if seen is None:
                self.ended.setdefault(name, at_s)
            else:
                self.samples[name].append(seen)

    async def _look_forever(self) -> None:
        while True:
            self.look()
            await lasting(self._every_s)


def with_children(pids: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return processes, and those that they have started, by name."""
    found: dict[str, int] = {}
    for name, pid in pids:
        found[name] = pid
        found |= {f"{name}, process {number}": child for number, child in enumerate(children(pid), 1)}
    return found
