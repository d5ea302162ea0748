"""Several processes that serve one port: started, started again when they die, and stopped together."""

import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Final

from api.metrics import forget, share
from shared.logs import get_logger

log = get_logger(__name__)

Serve = Callable[[list[socket.socket]], None]

_PR_SET_PDEATHSIG: Final = 1  # Source: linux/prctl.h
_LOOK_S: Final = 0.5
_STOP_S: Final = 15.0


class Processes:
    """Runs a function in so many processes until this one is told to stop.

    Args:
        serve: a function of a module, which serves on the sockets until its process gets SIGTERM.
        listening: the socket that all of them share; the kernel gives a new connection to whichever is idle.
        count: how many.
    """

    def __init__(self, serve: Serve, listening: socket.socket, count: int) -> None:
        self._serve = serve
        self._listening = listening
        self._count = count
        self._stopping = threading.Event()
        self._running: list[SpawnProcess] = []

    def run(self) -> None:
        """Return after SIGTERM or SIGINT, when every process has ended."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        share()
        self._running = [self._start() for _ in range(self._count)]
        while not self._stopping.wait(_LOOK_S):
            self._running = [each if each.is_alive() else self._again(each) for each in self._running]
        self._end()

    def _stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _start(self) -> SpawnProcess:
        process = multiprocessing.get_context("spawn").Process(
            target=_begin, args=(self._serve, self._listening, os.getpid())
        )
        process.start()
        return process

    def _again(self, dead: SpawnProcess) -> SpawnProcess:
        log.error("process.died", pid=dead.pid, exit_code=dead.exitcode)
        forget(dead.pid)
        dead.close()
        return self._start()

    def _end(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.join(_STOP_S)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()


def _begin(serve: Serve, listening: socket.socket, parent: int) -> None:
    """Serve; end when the parent dies without a word, as nobody else would end this process then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == parent:
        # Ctrl-C reaches every process of a terminal; the parent tells its children.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        serve([listening])
