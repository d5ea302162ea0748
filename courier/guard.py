"""The way out: to no address that leads inside, and for no longer than a try may take.

A host's name is looked up once, here, and what is connected to is one of the addresses that were found and
checked: a name that says something else a moment later changes nothing. TLS and the ``Host`` header have the
name all the same. Whatever is read or written has only what is left of the time in all, so that an answer
that drips ends with it.
"""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from httpcore2 import (
    SOCKET_OPTION,
    ConnectError,
    ConnectTimeout,
    NetworkBackend,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    WriteTimeout,
)
from typing_extensions import override

MOST_ADDRESSES: Final = 4
"""So many addresses of a host are tried."""


class HostNotFound(Exception):
    """There is no host of this name."""


class AddressNotAllowed(Exception):
    """No address of the host may be connected to."""


class Deadline:
    """When a try ends, whatever it is at.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left_s(self, at_most: float | None = None) -> float:
        """Return what is left; 0 where nothing is."""
        left = max(0.0, self._at - time.monotonic())
        return left if at_most is None else min(left, at_most)


class GuardedBackend(NetworkBackend):
    """Connects for one try.

    Args:
        deadline: of the try.
        allows: whether an address may be connected to.
    """

    def __init__(self, deadline: Deadline, allows: Callable[[str], bool]) -> None:
        self._deadline = deadline
        self._allows = allows
        self._plain = SyncBackend()

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Connect to one of the host's addresses.

        Raises:
            HostNotFound: it has none.
            AddressNotAllowed: none of them may be connected to.
            httpcore2.ConnectError: nothing listens there, or it cannot be reached.
            httpcore2.ConnectTimeout: it took too long.
        """
        found = addresses(host, port, self._deadline)
        allowed = [each for each in found if self._allows(each)][:MOST_ADDRESSES]
        if not allowed:
            raise AddressNotAllowed
        failed: Exception = ConnectTimeout()
        for i, address in enumerate(allowed):
            share_s = self._deadline.left_s(timeout) / (len(allowed) - i)
            if share_s <= 0:
                break
            try:
                stream = self._plain.connect_tcp(address, port, share_s)
            except (ConnectError, ConnectTimeout) as error:
                failed = error
                continue
            return _Bounded(stream, self._deadline)
        raise failed

    @override
    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Refuse: nothing is sent there.

        Raises:
            AddressNotAllowed: always.
        """
        raise AddressNotAllowed


class _Bounded(NetworkStream):
    """A connection that ends with the try."""

    def __init__(self, stream: NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left_s = self._deadline.left_s(timeout)
        if left_s <= 0:
            raise ReadTimeout
        return self._stream.read(max_bytes, left_s)

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left_s = self._deadline.left_s(timeout)
        if left_s <= 0:
            raise WriteTimeout
        self._stream.write(buffer, left_s)

    @override
    def close(self) -> None:
        self._stream.close()

    @override
    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        left_s = self._deadline.left_s(timeout)
        if left_s <= 0:
            raise ConnectTimeout
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, left_s), self._deadline)

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def addresses(host: str, port: int, deadline: Deadline) -> list[str]:
    """Return a host's addresses in numbers, each once, in the order in which they are to be tried.

    Raises:
        HostNotFound: it has none.
        httpcore2.ConnectTimeout: nobody said so in time.
    """
    answers: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
    # The system's own look-up knows no time-out. A thread that waits for a dead server of names is left
    # behind; it ends when the system gives up.
    threading.Thread(target=_look_up, args=(host, port, answers), name="names", daemon=True).start()
    try:
        found = answers.get(timeout=deadline.left_s())
    except queue.Empty as error:
        raise ConnectTimeout from error
    if not found:
        raise HostNotFound
    return found


def _look_up(host: str, port: int, answers: "queue.SimpleQueue[list[str] | None]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        answers.put(None)
        return
    answers.put(list(dict.fromkeys(str(address[0]) for *_, address in found)))
