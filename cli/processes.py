"""One child process: how it is started, watched and stopped.

Knows nothing of what the programs do; `cli.supervisor` keeps several of them running.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.leash import leashed
from cli.signals import never
from shared.errors import ConfigurationError

_SLICE_S = 0.05


@dataclass(frozen=True)
class Program:
    """What to run, and where its output goes."""

    name: str
    command: tuple[str, ...]
    log: Path
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A program and the process that runs it at the moment; ends with this process, however that ends."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process started last.

        Raises:
            ConfigurationError: It was never started.
        """
        if self._process is None:
            msg = f"{self.program.name} was not started"
            raise ConfigurationError(msg)
        return self._process

    @property
    def running(self) -> bool:
        """Whether the process is alive; takes notice of its end (no zombie stays)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the program; its output is appended to its log.

        In a session of its own, so that Ctrl-C in a terminal reaches only this process, which then stops its
        children in order.

        Raises:
            RuntimeError: It runs already; a second process beside the first would be nobody's.
        """
        if self.running:
            msg = f"{self.program.name} runs already"
            raise RuntimeError(msg)
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        with self.program.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed(self.program.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.program.cwd,
                env={**os.environ, **self.program.environment},
                start_new_session=True,
            )
        self.started_at = time.monotonic()

    def send(self, signum: signal.Signals) -> None:
        """Send a signal, if the process is alive."""
        if self.running:
            self.process.send_signal(signum)

    def wait(self, timeout_s: float, hurry: Callable[[], bool] = never) -> bool:
        """Wait until the process has ended; False when it has not in time, or when there is hurry."""
        deadline = time.monotonic() + timeout_s
        while self.running:
            if time.monotonic() >= deadline or hurry():
                return False
            try:
                self.process.wait(_SLICE_S)
            except subprocess.TimeoutExpired:
                continue
        return True

    def kill(self) -> None:
        """End the process at once."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self, grace_s: float, hurry: Callable[[], bool] = never) -> None:
        """Ask the process to end; end it when it has not in time."""
        stop_together([self], grace_s, hurry)

    def end_in_words(self) -> str:
        """How the process ended, for a message."""
        code = self.process.returncode
        if code is None:
            return "is still running"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def stop_together(children: list[Child], grace_s: float, hurry: Callable[[], bool] = never) -> None:
    """Ask processes to end, all at once; end those that have not in time."""
    for child in children:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    for child in children:
        if not child.wait(deadline - time.monotonic(), hurry):
            child.kill()
