"""Runs what reads strangers' files in a process of its own, whose end is nobody else's.

A decoder that crashes takes a process with it, one that is fooled takes memory and time: here both have an
end, and the calls that this process holds know nothing of it.
"""

import resource
from collections.abc import Callable
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

import anyio
from anyio import to_process

P = ParamSpec("P")
T = TypeVar("T")

MEMORY_BYTES: Final = 1024**3
"""What a process may take: the largest picture in four channels several times, and what Python takes."""


class Apart:
    """Runs functions in processes of their own, which are kept for the next ones.

    Args:
        most: how many run at a time; others wait.
        timeout_s: after so long one is ended.
    """

    def __init__(self, most: int, timeout_s: float) -> None:
        self._most = most
        self._timeout_s = timeout_s
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, function: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """Return what a function returns; it, what it is given and what it returns can be pickled.

        Raises:
            TimeoutError: it took too long.
            anyio.BrokenWorkerProcess: its process ended.
            Exception: whatever it raised.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._most)
        async with self._limiter:
            # The time counts from when it begins: who waits for its turn is bounded by the others' time.
            with anyio.fail_after(self._timeout_s):
                return await to_process.run_sync(_limited, function, *args, cancellable=True)


def _limited(function: Callable[..., T], *args: object) -> T:
    """Run a function with an end to what its process takes."""
    with suppress(ValueError, OSError):  # a system may have a lower one
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return function(*args)
