"""Where the files of uploads lie: one folder of this process, with one in it for each upload.

A process that is killed takes nothing away with it. So each holds a lock on its folder for as long as it
lives, which the system takes from it however it ends, and the next one removes every folder without one.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, gettempdir, mkdtemp
from typing import Final

PREFIX: Final = "darkroom-uploads-"


class Spool:
    """The folders of one process, made when the first is needed."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock: int | None = None

    def clear(self) -> None:
        """Remove what processes left behind that are no longer there."""
        with suppress(OSError):  # where nothing can be written, nothing was left
            for folder in Path(gettempdir()).glob(f"{PREFIX}*"):
                lock = _locked(folder)
                if lock is not None:
                    rmtree(folder, ignore_errors=True)
                    os.close(lock)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a folder, which is gone afterwards with all that is in it."""
        with TemporaryDirectory(dir=self._own()) as name:
            yield Path(name)

    def close(self) -> None:
        """Remove everything."""
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        self._folder = self._lock = None

    def _own(self) -> Path:
        """Return this process's folder, made anew where somebody who tidies up has taken it away."""
        while self._folder is None or not self._folder.is_dir():
            self.close()
            folder = Path(mkdtemp(prefix=PREFIX))
            # Another one that starts right now may have been there first, and is about to remove it.
            self._lock = _locked(folder)
            self._folder = folder if self._lock is not None else None
        return self._folder


def _locked(folder: Path) -> int | None:
    """Return a lock on a folder; None where another process holds it, or it is not ours to take."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
