"""Fetches one file: goes on where an earlier try stopped, and believes nothing but its checksum.

huggingface_hub 2.4 throws away what has arrived of a file when its process ends, and compares lengths, not
checksums (docs/decisions/0018). So the bytes are ours; where they come from and where they go is not.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Final

import httpx2
from huggingface_hub.errors import HfHubHTTPError

from cli.pulling.cache import CachedRepository
from cli.pulling.errors import Corrupt, HubUnreachable, PullFailed, Stopped
from cli.pulling.files import RemoteFile
from cli.pulling.hub import Hub, Repository

MOST_CUTS: Final = 5
FIRST_PAUSE_S: Final = 1.0
MOST_SMALL_BYTES: Final = 64 * 1024**2
_PARTIAL_CONTENT: Final = 206
_RANGE_REFUSED: Final = 416
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


class Fetcher:
    """Brings files of one repository into the cache.

    Args:
        hub: Where they come from.
        repository: The repository.
        cached: Where they go.
        arrived: Called with the number of bytes that came in; negative where some had to be thrown away.
        stop: Set when nothing more shall be fetched.
        first_pause_s: How long to wait after a cut before the next try; doubled at each cut in a row.
    """

    def __init__(
        self,
        hub: Hub,
        repository: Repository,
        cached: CachedRepository,
        arrived: Callable[[int], None],
        stop: Event,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._hub = hub
        self._repository = repository
        self._cached = cached
        self._arrived = arrived
        self._stop = stop
        self._first_pause_s = first_pause_s

    def fetch(self, file: RemoteFile) -> None:
        """Fetch a file, unless it is here.

        Raises:
            Corrupt: Twice the bytes were not those that the hub announces.
            PullFailed: The hub refused, or was cut off too often; what has arrived is kept.
            Stopped: `stop` was set.
        """
        if self._cached.has(file):
            return
        partial = self._cached.partial(file)
        for _ in range(2):
            self._complete(file, partial)
            if file.is_in(partial):
                self._cached.keep(file)
                return
            self._throw_away(partial)
        msg = f"{file.path} arrived twice with other bytes than its checksum says; nothing of it was kept"
        raise Corrupt(msg)

    def _complete(self, file: RemoteFile, partial: Path) -> None:
        """Append to what is here until the file has its length; a cut is waited out."""
        cuts = 0
        partial.touch()
        while (size := _size(partial)) < file.size_bytes:
            try:
                with self._hub.explaining(self._repository.repository, self._repository.revision):
                    self._append(file, partial, size)
                cut: Exception | None = None
            except _Cut as error:
                cut = error
            cuts = 0 if _size(partial) > size else cuts + 1
            if cuts >= MOST_CUTS:
                msg = (
                    f"{self._hub.endpoint} was cut off {cuts} times in a row while sending {file.path}; "
                    "the same command goes on from there"
                )
                raise HubUnreachable(msg) from cut
            if cut is not None and self._stop.wait(self._first_pause_s * 2 ** max(0, cuts - 1)):
                raise Stopped

    def _append(self, file: RemoteFile, partial: Path, size: int) -> None:
        try:
            with self._hub.stream(self._repository, file, size) as answer, partial.open("r+b") as target:
                if size and answer.status_code != _PARTIAL_CONTENT:
                    self._arrived(-size)
                    size = 0
                target.seek(size)
                target.truncate()
                for chunk in answer.iter_bytes():
                    # What goes beyond the announced length is left out; the checksum decides about the rest.
                    wanted = chunk[: file.size_bytes - size]
                    target.write(wanted)
                    size += len(wanted)
                    self._arrived(len(wanted))
                    self._check_going_on()
        except httpx2.TransportError as error:
            raise _Cut from error
        except HfHubHTTPError as error:
            if error.response.status_code == _RANGE_REFUSED:
                self._throw_away(partial)
                partial.touch()
            if error.response.status_code in _PASSING | {_RANGE_REFUSED}:
                raise _Cut from error
            raise

    def _check_going_on(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _throw_away(self, partial: Path) -> None:
        self._arrived(-_size(partial))
        partial.unlink()


class _Cut(Exception):
    """The connection ended before the file did."""


def _size(file: Path) -> int:
    return file.stat().st_size


def read_small(fetcher: Fetcher, cached: CachedRepository, file: RemoteFile) -> bytes:
    """Fetch a file and return its bytes.

    Raises:
        PullFailed: As for `Fetcher.fetch`, and for a file that is too long to be a configuration.
    """
    if file.size_bytes > MOST_SMALL_BYTES:
        msg = f"{file.path} has {file.size_bytes} bytes, too many for a configuration"
        raise PullFailed(msg)
    fetcher.fetch(file)
    return cached.blob(file).read_bytes()
