"""An embedded Valkey (or Redis) server: started, waited for and stopped.

Importing this starts nothing. Data is kept in an append-only file, so a server that was killed comes back on
the same port with everything it had acknowledged.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cli.logs import tail
from cli.ports import LOOPBACK, free_port
from cli.processes import Child, Program
from cli.servers import ServerBinary, find_server
from shared.errors import ConfigurationError

START_TIMEOUT_S: Final = 30.0
STOP_GRACE_S: Final = 10.0
_PROBE_S: Final = 0.01
_MOST_MEMORY_BYTES: Final = 1024**3
_PORT_TRIES: Final = 3


class ServerNotStarted(ConfigurationError):
    """The embedded Valkey server did not start."""


class EmbeddedServer:
    """A Valkey server of our own on 127.0.0.1; ends with this process, however that ends.

    Start it from the main thread (see `cli.leash`).

    Args:
        data_dir: Where its data and its log are kept; default: a temporary folder, removed on leaving.
        port: Where to listen; default: a free port, the same one at every start of this object.
        maxmemory_bytes: Above this the server refuses writes that need memory (it never evicts).
        options: More options for the server's command line.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int | None = None,
        maxmemory_bytes: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._temporary = data_dir is None
        self.data_dir = (data_dir or Path(tempfile.mkdtemp(prefix="darkroom-"))).resolve()
        self.log = self.data_dir / "valkey.log"
        self.port = port or 0
        self._maxmemory_bytes = maxmemory_bytes or _memory_limit_bytes()
        self._options = tuple(options)
        self._binary: ServerBinary | None = None
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def binary(self) -> ServerBinary:
        """The program that runs, or would."""
        if self._binary is None:
            self._binary = find_server()
        return self._binary

    @property
    def child(self) -> Child:
        """The child process.

        Raises:
            ServerNotStarted: It was never started.
        """
        if self._child is None:
            raise ServerNotStarted
        return self._child

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of the server started last."""
        return self.child.process

    def start(self) -> None:
        """Start the server and wait until it answers; nothing if it runs already.

        Raises:
            ConfigurationError: There is no server program on this machine.
            ServerNotStarted: It ended, or did not answer in time.
        """
        if self._child is None:
            self._start_first()
        elif not self._child.running:
            _launch(self._child, self.port)

    def stop(self) -> None:
        """End the server in good order, with everything on disk; it can be started again."""
        if self._child is not None:
            self._child.stop(STOP_GRACE_S)

    def kill(self) -> None:
        """End the server at once, as a crash would; it can be started again."""
        self.child.kill()

    def close(self) -> None:
        """End the server, and remove its data if the folder was temporary."""
        self.stop()
        if self._temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_first(self) -> None:
        """Start on the given port, or on a free one; another program may take that first, so try a few."""
        tries = 1 if self.port else _PORT_TRIES
        for tries_left in reversed(range(tries)):
            port = self.port or free_port()
            child = Child(self._program(port))
            try:
                _launch(child, port)
            except ServerNotStarted:
                if not tries_left:
                    raise
            else:
                self._child, self.port = child, port
                return

    def _program(self, port: int) -> Program:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        options = {
            "--bind": LOOPBACK,
            "--port": str(port),
            "--dir": str(self.data_dir),
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--save": "",
            "--maxmemory": str(self._maxmemory_bytes),
            "--maxmemory-policy": "noeviction",
            "--daemonize": "no",
        }
        command = [
            str(self.binary.path),
            *(word for option in options.items() for word in option),
            *self._options,
        ]
        return Program("valkey", tuple(command), log=self.log, cwd=self.data_dir)


def _memory_limit_bytes() -> int:
    """One GiB, or a quarter of the machine's memory where that is less."""
    return min(_MOST_MEMORY_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)


def _launch(child: Child, port: int) -> None:
    """Start the server and wait until it answers."""
    child.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        while not _answers(port, child.process.pid):
            _check_starting(child, deadline)
            time.sleep(_PROBE_S)
    except BaseException:
        child.kill()
        raise


def _check_starting(child: Child, deadline: float) -> None:
    """Raise when there is nothing more to wait for."""
    if child.running and time.monotonic() < deadline:
        return
    log = child.program.log
    msg = f"the embedded Valkey server {child.end_in_words()} and does not answer; {log} ends:\n{tail(log)}"
    raise ServerNotStarted(msg)


def _answers(port: int, pid: int) -> bool:
    """Whether this very process answers on the port, with its data loaded.

    The process id is compared because another server may hold the port that ours failed to get.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return False
    return answer.startswith(b"+PONG") and f"\r\nprocess_id:{pid}\r\n".encode() in answer
