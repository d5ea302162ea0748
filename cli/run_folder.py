"""The folder a local service keeps its data and logs in: one service at a time."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.errors import ConfigurationError


class RunFolder:
    """A folder that is ours while entered.

    Two services on one append-only file would spoil it, so the folder is locked; the kernel frees the lock
    when this process ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def data(self) -> Path:
        """Where the embedded Valkey keeps its data."""
        return self.path / "valkey"

    def log(self, name: str) -> Path:
        """The log file of a child process."""
        return self.path / "logs" / f"{name}.log"

    def note_store(self, url: str) -> None:
        """Say where the embedded server of the service that runs here is."""
        (self.path / "store.url").write_text(url, encoding="utf-8")

    def running_store(self) -> str | None:
        """Return where the embedded server of the service that runs here is; None where none runs."""
        noted = self.path / "store.url"
        if not noted.exists() or not self._is_locked():
            return None
        return noted.read_text(encoding="utf-8").strip() or None

    def _is_locked(self) -> bool:
        """Whether another process holds the folder."""
        try:
            with (self.path / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _not_writable(self.path, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            msg = f"another darkroom runs in {self.path}; stop it, or name another folder with --run-folder"
            raise ConfigurationError(msg) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)


@contextmanager
def passing_folder(parent: Path, prefix: str) -> Iterator[RunFolder]:
    """Make a folder for one run: removed when all went well, kept with its logs when not."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise _not_writable(parent, error) from error
    with RunFolder(path) as folder:
        yield folder
    shutil.rmtree(path)


def _not_writable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot write to {path}: {error.strerror}; run it from another folder")
