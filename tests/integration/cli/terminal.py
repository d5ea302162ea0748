"""A program on a real terminal: a pty that a test types into and reads."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Final, Self

from tests.waiting import wait_until

_READ_BYTES: Final = 65536


class Terminal:
    """Runs a command on a terminal of its own.

    Args:
        command: what to run.
        cwd: where.
        environment: all of its environment.
        columns: how wide the terminal is.
        lines: how high.
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        columns: int = 100,
        lines: int = 40,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._read = bytearray()
        self._reader = Thread(target=self._read_all)
        self._reader.start()

    @property
    def output(self) -> str:
        """All that the program wrote so far, control sequences and all."""
        return bytes(self._read).decode(errors="replace")

    def enter(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, words: str, timeout_s: float = 20.0) -> None:
        wait_until(lambda: words in self.output, timeout_s, f"{words!r} on the terminal")

    def wait(self, timeout_s: float = 20.0) -> int:
        """Return the exit code, once all output was read."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        os.close(self._ours)

    def _read_all(self) -> None:
        while True:
            try:
                data = os.read(self._ours, _READ_BYTES)
            except OSError:  # Linux says EIO when the last program has left the terminal
                return
            if not data:
                return
            self._read += data
