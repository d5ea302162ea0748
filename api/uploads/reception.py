"""Where bodies are taken in that go to the disk: some at a time, with an end to their size and their time."""

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from starlette.requests import Request

from api.uploads.spool import Spool
from shared.errors import BodyTooLarge, QueueFull, RequestTimeout
from shared.logs import get_logger
from shared.settings import ApiSettings

log = get_logger(__name__)

# There is no room on the disk, or none for us.
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# How long a body waits for its turn to be read before it is refused.
_TURN_S: Final = 5.0


class Reception:
    """Takes bodies in.

    Args:
        settings: those of the HTTP process.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._timeout_s = settings.upload_timeout_s
        self._turns = asyncio.Semaphore(settings.max_uploads)
        self._spool = Spool()

    def start(self) -> None:
        """Remove what processes left behind that were killed while they took something in."""
        self._spool.clear()

    def close(self) -> None:
        """Remove what is left here."""
        self._spool.close()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Path]:
        """Wait for a turn, and give a folder until it ends.

        Raises:
            QueueFull: too many others are read now, or the disk has no room for it.
        """
        try:
            async with asyncio.timeout(_TURN_S):
                await self._turns.acquire()
        except TimeoutError as error:
            message = "Too many files are being uploaded."
            raise QueueFull(message, retry_after_s=5) from error
        try:
            with self.folder() as folder:
                yield folder
        finally:
            self._turns.release()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a folder that is gone afterwards.

        Raises:
            QueueFull: the disk has no room for what is written.
        """
        with _room(), self._spool.folder() as folder:
            yield folder

    async def pieces(self, request: Request, max_bytes: int) -> AsyncIterator[bytes]:
        """Yield a body as it comes.

        Raises:
            BodyTooLarge: it is larger than allowed.
            ClientDisconnect: its sender has gone before its end.
        """
        size_bytes = 0
        async for piece in request.stream():
            size_bytes += len(piece)
            if size_bytes > max_bytes:
                raise BodyTooLarge
            yield piece

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Bound the time that a body takes.

        Raises:
            RequestTimeout: it takes longer than allowed.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            raise RequestTimeout from error


@contextmanager
def _room() -> Iterator[None]:
    """Say that the disk is full as what it is: nothing that the caller has done."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        log.warning("upload.no_room", reason=error.strerror)
        message = "There is no room for what is uploaded."
        raise QueueFull(message, retry_after_s=5) from error
