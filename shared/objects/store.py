"""One interface for both: obstore's, which knows folders and S3 alike.

What it says of a failure names addresses and keys of requests, so none of it is repeated: a log has the name
of the error, and a caller our own words.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from glob import escape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from shared.errors import ConfigurationError, ObjectUnavailable
from shared.settings import ResultSettings

if TYPE_CHECKING:
    from obstore import AsyncWritableFile

_S3: Final = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[\w.=-]+)*)/?", re.ASCII
)
_CHUNK_BYTES: Final = 1024**2
_CONNECT_S: Final = 5
LONGEST_S: Final = 7 * 24 * 3600
"""The longest time for which S3 signs an address."""

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectStore:
    """Objects by name. Names are paths of ours, with a slash between their parts.

    Every method raises ObjectUnavailable where the store cannot be reached; those that read raise
    FileNotFoundError where there is no such object.

    Attributes:
        folder: where the objects lie as files; None where they lie at an address of S3.
    """

    folder: Path | None
    _store: LocalStore | S3Store
    _signer: S3Store | None

    def put(self, name: str, content: bytes | Path, media_type: str) -> None:
        """Write an object, whole or not at all. Blocking.

        Args:
            name: its name; one that is there is replaced.
            content: its bytes, or the file that has them.
            media_type: what it is.
        """
        # A folder has no room for it: there the name says it.
        attributes: Any = None if self.folder is not None else _attributes(name, media_type)
        try:
            _reaching(lambda: obstore.put(self._store, name, content, attributes=attributes))
        except FileNotFoundError as error:  # there is no such bucket
            raise ObjectUnavailable from error

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; one that is not there is none to delete. Blocking."""
        for name in names:
            with suppress(FileNotFoundError):
                _reaching(partial(obstore.delete, self._store, name))
            _reaching(partial(self._drop_halves, name))

    def _drop_halves(self, name: str) -> None:
        """Delete what killed writers left: in a folder, files beside the object's own, numbered."""
        if self.folder is not None:
            path = self.folder / name
            for half in path.parent.glob(f"{escape(path.name)}#*"):
                half.unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        """Return an object's bytes. Blocking."""
        return bytes(_reaching(lambda: obstore.get(self._store, name).bytes()))

    def size_bytes(self, name: str) -> int:
        """Return an object's size. Blocking."""
        return int(_reaching(lambda: obstore.head(self._store, name))["size"])

    async def stream(self, name: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes, about a MiB at a time."""
        try:
            found = await obstore.get_async(self._store, name)
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise ObjectUnavailable from error

    async def part(self, name: str, start: int, size_bytes: int) -> bytes:
        """Return a part of an object, which ends where the object does."""
        try:
            return bytes(await obstore.get_range_async(self._store, name, start=start, length=size_bytes))
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise ObjectUnavailable from error

    def writer(self, name: str, media_type: str) -> "ObjectWriter":
        """Return what writes an object of any size, piece by piece."""
        attributes: Any = None if self.folder is not None else _attributes(name, media_type)
        return ObjectWriter(
            obstore.open_writer_async(self._store, name, attributes=attributes, max_concurrency=2)
        )

    def signed(self, name: str, lifetime_s: float) -> str | None:
        """Return an address at which anybody can read an object for so long; None for one in a folder.

        The signature is made here, and is another one each second. Where no key is set, the machine's role is
        asked for one: blocking, in that case.
        """
        if self._signer is None:
            return None
        lifetime = timedelta(seconds=max(1.0, min(lifetime_s, LONGEST_S)))
        signer = self._signer
        return str(_reaching(lambda: obstore.sign(signer, "GET", name, lifetime)))


class ObjectWriter:
    """An object that is being written. It is there when :meth:`close` has returned, and not at all before.

    What is never closed leaves a half: ``ObjectStore.delete`` takes that of a folder away, and S3 does by a
    rule of the bucket.
    """

    def __init__(self, writer: "AsyncWritableFile") -> None:
        self._writer = writer
        self.size_bytes = 0

    async def write(self, piece: bytes) -> None:
        """Write the next piece; about 10 MiB are in memory at a time.

        Raises:
            ObjectUnavailable: it cannot be written.
        """
        try:
            await self._writer.write(piece)
        except (BaseError, OSError) as error:
            raise ObjectUnavailable from error
        self.size_bytes += len(piece)

    async def close(self) -> None:
        """Make the object of what was written.

        Raises:
            ObjectUnavailable: it cannot be written.
        """
        try:
            await self._writer.close()
        except (BaseError, OSError) as error:
            raise ObjectUnavailable from error


def open_store(settings: ResultSettings) -> ObjectStore | None:
    """Return the store that the operator has named; None where none is.

    Nothing is connected yet. A folder is made where it is missing.

    Raises:
        ConfigurationError: it is no folder that can be used, and no address of S3.
    """
    if not settings.urls:
        return None
    found = _S3.fullmatch(settings.urls)
    if found is None:
        folder = Path(settings.urls)
        try:
            return ObjectStore(folder, LocalStore(folder, mkdir=True), None)
        except (BaseError, OSError) as error:
            message = "results.urls names a folder that cannot be made or used"
            raise ConfigurationError(message) from error
    bucket, prefix = found["bucket"], found["prefix"].strip("/")
    public = settings.s3_public_endpoint or settings.s3_endpoint
    store = _s3(settings, bucket, prefix, settings.s3_endpoint)
    return ObjectStore(None, store, _s3(settings, bucket, prefix, public))


def _attributes(name: str, media_type: str) -> dict[str, str]:
    """Return the headers with which S3 gives an object out."""
    return {
        "Content-Type": media_type,
        "Content-Disposition": f'inline; filename="{PurePosixPath(name).name}"',
    }


def _s3(settings: ResultSettings, bucket: str, prefix: str, endpoint: str) -> S3Store:
    named = {
        "endpoint": endpoint,
        "access_key_id": settings.s3_access_key_id.get_secret_value(),
        "secret_access_key": settings.s3_secret_access_key.get_secret_value(),
    }
    # What is not named is looked for as AWS's own tools do: variables of theirs, the machine's role.
    config: Any = {name: value for name, value in named.items() if value}
    client: Any = {
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "timeout": timedelta(seconds=settings.timeout_s),
        "allow_http": endpoint.startswith("http://"),
    }
    # Whoever calls decides how often it is tried: within one call once more, for a connection that was idle.
    retry: Any = {"max_retries": 1, "retry_timeout": timedelta(seconds=settings.timeout_s)}
    return S3Store(
        bucket,
        prefix=prefix or None,
        region=settings.s3_region,
        virtual_hosted_style_request=not settings.s3_path_style,
        client_options=client,
        retry_config=retry,
        **config,
    )


def _reaching(call: Callable[[], T]) -> T:
    try:
        return call()
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise ObjectUnavailable from error
