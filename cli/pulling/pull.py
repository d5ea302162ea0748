"""One pull: what an entry needs, how much of it is missing, and bringing that here."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from cli.amounts import in_bytes
from cli.pulling.cache import CachedRepository
from cli.pulling.errors import NoRoom, PullFailed, Stopped
from cli.pulling.fetching import FIRST_PAUSE_S, Fetcher, read_small
from cli.pulling.files import RemoteFile
from cli.pulling.hub import Hub, Repository
from cli.pulling.needed import needed_files, replacement_file
from shared.catalogue import ModelSpec
from shared.catalogue.hub import is_hub_id

AT_ONCE: Final = 4
_ROOM_LEFT_BYTES: Final = 256 * 1024**2  # a disk that is full to the last byte stops more than this


@dataclass(frozen=True)
class Part:
    """What is needed of one repository."""

    repository: Repository
    cached: CachedRepository
    files: tuple[RemoteFile, ...]

    def missing(self) -> list[RemoteFile]:
        """The files that are not here, the largest first."""
        files = {file.digest: file for file in self.files if not self.cached.has(file)}
        return sorted(files.values(), key=lambda file: -file.size_bytes)

    @property
    def total_bytes(self) -> int:
        """How much the files are together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def arrived_bytes(self) -> int:
        """How much of them is here already."""
        return sum(self.cached.arrived_bytes(file) for file in self.files)


@dataclass(frozen=True)
class Plan:
    """What is needed for one entry of the catalogue."""

    spec: ModelSpec
    cache: Path
    parts: tuple[Part, ...]

    @property
    def total_bytes(self) -> int:
        """How much it is in all."""
        return sum(part.total_bytes for part in self.parts)

    @property
    def missing_bytes(self) -> int:
        """How much must still come."""
        return self.total_bytes - sum(part.arrived_bytes for part in self.parts)

    def check_room(self) -> None:
        """Look whether it fits, before anything is fetched.

        Raises:
            NoRoom: It does not.
        """
        free = shutil.disk_usage(self.cache).free
        wanted = self.missing_bytes + _ROOM_LEFT_BYTES
        if self.missing_bytes and free < wanted:
            msg = (
                f"{self.cache} has {in_bytes(free)} free, {in_bytes(wanted)} are needed; "
                "make room, or set HF_HUB_CACHE to a folder on another disk"
            )
            raise NoRoom(msg)


class Pull:
    """Fetches what one entry needs.

    Args:
        spec: The entry.
        hub: Where it comes from.
        cache: The folder of the Hugging Face cache.
        arrived: Called with the number of bytes that came in, from several threads.
        first_pause_s: See `Fetcher`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        hub: Hub,
        cache: Path,
        arrived: Callable[[int], None],
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._spec = spec
        self._hub = hub
        self._cache = cache
        self._arrived = arrived
        self._first_pause_s = first_pause_s
        self._stop = Event()
        self._locks = ExitStack()
        self._cached: dict[str, CachedRepository] = {}

    @contextmanager
    def planned(self) -> Iterator[Plan]:
        """Work out what is needed; while entered, no other process pulls the same repositories.

        Only the small files that say which others there are get fetched for that.

        Raises:
            PullFailed: The hub has not what the entry needs, or does not give it.
        """
        with ExitStack() as self._locks:
            self._cache.mkdir(parents=True, exist_ok=True)
            parts = [self._own_part()] if is_hub_id(self._spec.weights) else []
            yield Plan(self._spec, self._cache, (*parts, *self._replacements()))

    def fetch(self, plan: Plan) -> None:
        """Fetch what is missing, then let the model be seen, whole.

        Raises:
            PullFailed: Something is missing still; what has arrived is kept for the next time.
        """
        jobs = [(self._fetcher(part), file) for part in plan.parts for file in part.missing()]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pull") as pool:
            futures = [pool.submit(fetcher.fetch, file) for fetcher, file in jobs]
            try:
                self._wait(futures)
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        for part in reversed(plan.parts):  # the entry's own repository is what switches it on
            part.cached.show(part.repository.commit, part.repository.revision, part.files)

    def discard_spoiled(self, plan: Plan) -> list[str]:
        """Read every file that is here, and throw away those that are not as the hub has them; name them."""
        spoiled = []
        for part in plan.parts:
            for file in part.files:
                blob = part.cached.blob(file)
                if blob.is_file() and not file.is_in(blob):
                    blob.unlink()
                    spoiled.append(file.path)
        return spoiled

    def _wait(self, futures: list[Future[None]]) -> None:
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        errors = [error for future in done if (error := future.exception())]
        for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
            if isinstance(error, OSError):
                msg = f"cannot write to {self._cache}: {error.strerror or error}; what has arrived is kept"
                raise PullFailed(msg) from error
            raise error

    def _own_part(self) -> Part:
        repository, cached = self._opened(self._spec.weights, self._spec.revision)
        fetcher = self._fetcher_of(repository, cached)
        files = needed_files(self._spec, repository.files, lambda file: read_small(fetcher, cached, file))
        return Part(repository, cached, tuple(files))

    def _replacements(self) -> Iterator[Part]:
        for component in self._spec.components.values():
            if is_hub_id(component.weights):
                repository, cached = self._opened(component.weights, component.revision)
                file = replacement_file(component.weights, component.file, repository.files)
                yield Part(repository, cached, (file,))

    def _opened(self, weights: str, revision: str | None) -> tuple[Repository, CachedRepository]:
        cached = self._cached.get(weights)
        if cached is None:
            cached = self._cached[weights] = CachedRepository(self._cache, weights)
            self._locks.enter_context(cached.locked())
        return self._hub.repository(weights, revision), cached

    def _fetcher(self, part: Part) -> Fetcher:
        return self._fetcher_of(part.repository, part.cached)

    def _fetcher_of(self, repository: Repository, cached: CachedRepository) -> Fetcher:
        return Fetcher(self._hub, repository, cached, self._arrived, self._stop, self._first_pause_s)
