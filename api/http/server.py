"""Serving HTTP with uvicorn: in this process, or in several that share a port."""

import asyncio
import ctypes
import gc
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from api.metrics import forget_the_dead, share
from shared.settings import ApiSettings

_PR_SET_PDEATHSIG: Final = 1  # Source: linux/prctl.h
_COLLECT_AFTER: Final = (50_000, 20, 100)


def serve(app: ASGIApp, factory: str, settings: ApiSettings) -> None:
    """Serve until told to stop.

    Args:
        app: the application.
        factory: where the processes find it that are started beside this one, where there are several.
        settings: those of the HTTP process.
    """
    # Each connection is a file, and the limit of a shell is often a thousand.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "ws": "none",
        "proxy_headers": False,  # uvicorn believes this machine by itself; whom we believe is a setting
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 5,
        "limit_concurrency": settings.max_connections,
        "backlog": 4096,
    }
    if settings.processes == 1:
        collect_seldom()
        uvicorn.run(app, workers=1, **options)
        return
    share()
    uvicorn.run(factory, factory=True, workers=settings.processes, **options)


def join_the_others() -> None:
    """Begin as one of several processes: end with the one that started it, and count beside the others."""
    if sys.platform == "linux":
        # One that is killed outright says nothing, and nobody else would end this process then.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    forget_the_dead()
    collect_seldom()


def collect_seldom() -> None:
    """Let Python look for cycles less often than every 700 objects, and never among what there is already.

    A request leaves none, and thousands of held calls are much to look through: it took a sixth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


@contextmanager
def when_told_to_stop(do: Callable[[], None]) -> Iterator[None]:
    """Call a function when this process is told to end, before the server waits for what it still answers."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to another thread
        return
    loop = asyncio.get_running_loop()
    servers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(do)
        server = servers[signal.Signals(number)]
        if callable(server):
            server(number, frame)

    for number in servers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, server in servers.items():
            signal.signal(number, server)
