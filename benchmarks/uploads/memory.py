"""How much memory processes take, looked at again and again while something is done."""

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import psutil

_EVERY_S: Final = 0.005


@dataclass
class Peak:
    """Bytes in memory (RSS): of a process that serves, and of those that decode for it."""

    serving: int = 0
    decoding: int = 0
    both: int = 0

    def see(self, now: "Peak") -> None:
        """Keep what is more."""
        self.serving = max(self.serving, now.serving)
        self.decoding = max(self.decoding, now.decoding)
        self.both = max(self.both, now.both)


class Looking:
    """Looks at a process and its children on a thread, from the block's begin to its end."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="looking", daemon=True)
        self.peak = Peak()

    def now(self) -> Peak:
        """Return what they take now."""
        serving = self._process.memory_info().rss
        decoding = sum(_rss(child) for child in self._process.children(recursive=True))
        return Peak(serving, decoding, serving + decoding)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.peak.see(self.now())


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
