"""What is known of files. Their bytes lie in the store of objects, under names made here."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final

from api.store.client import StoreClient
from shared.errors import FileNotFound
from shared.settings import BatchSettings

_ID: Final = re.compile(r"file-[0-9a-f]{32}")
_FIELDS: Final = ("owner", "filename", "purpose", "bytes", "created_at", "expires_at")
# As long as the bytes of a file may take into the store of objects before they count as given up.
WRITING_S: Final = 3600.0


class Purpose(StrEnum):
    """What a file is for."""

    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"


@dataclass(frozen=True)
class FileRecord:
    """One file. Instants are unix milliseconds of Redis's clock."""

    id: str
    filename: str
    purpose: Purpose
    bytes: int
    created_at: int
    expires_at: int


@dataclass(frozen=True)
class NewFile:
    """A file to be made.

    Attributes:
        id: its id.
        owner: whose it is.
        filename: what it is called.
        purpose: what it is for.
        bytes: what it takes.
        ttl_s: how long it is kept.
    """

    id: str
    owner: str
    filename: str
    purpose: Purpose
    bytes: int
    ttl_s: int


def new_file_id() -> str:
    """Return an id that nobody can guess."""
    return f"file-{secrets.token_hex(16)}"


def object_name(file_id: str) -> str:
    """Return the name of a file's bytes in the store of objects."""
    return f"files/{file_id}"


class FileStore:
    """Files, by their owners: a file of another owner does not exist.

    Args:
        client: the server.
        settings: those of batches.

    Every method raises StoreUnavailable where Redis is away.
    """

    def __init__(self, client: StoreClient, settings: BatchSettings) -> None:
        self._client = client
        self._settings = settings

    async def expect(self, new: NewFile) -> None:
        """Note a file before its bytes are written; those of one that is never kept are deleted.

        Raises:
            TooManyFiles: its owner has as many as may be, or they take as much.
        """
        uploaded = new.purpose is Purpose.BATCH
        await self._client.run(
            "expect_file",
            owner=new.owner,
            object=object_name(new.id),
            bytes=new.bytes,
            keep_ms=int(WRITING_S * 1000),
            max_files=self._settings.max_files_per_owner if uploaded else 0,
            max_bytes=self._settings.max_file_bytes_per_owner,
        )

    async def keep(self, new: NewFile) -> FileRecord:
        """Make a file whose bytes are written; return it.

        Raises:
            FileNotFound: they took so long that they may be deleted again.
        """
        fields = {"filename": new.filename, "purpose": new.purpose.value, "bytes": str(new.bytes)}
        await self._client.run(
            "keep_file",
            file=self._client.keys.file(new.id),
            id=new.id,
            owner=new.owner,
            object=object_name(new.id),
            fields=json.dumps(fields),
            ttl_ms=new.ttl_s * 1000,
        )
        return await self.read(new.id, new.owner)

    async def read(self, file_id: str, owner: str) -> FileRecord:
        """Return a file of this owner.

        Raises:
            FileNotFound: there is none.
        """
        if not _ID.fullmatch(file_id):
            raise FileNotFound
        (found,) = await self._read_many([file_id], owner)
        if found is None:
            raise FileNotFound
        return found

    async def drop(self, file_id: str, owner: str) -> None:
        """Delete a file of this owner.

        Raises:
            FileNotFound: there is none.
            FileInUse: a batch that has not ended reads it.
        """
        if not _ID.fullmatch(file_id):
            raise FileNotFound
        key = self._client.keys.file(file_id)
        await self._client.run("drop_file", file=key, id=file_id, owner=owner, object=object_name(file_id))

    async def page(
        self, owner: str, *, limit: int, after: str, newest_first: bool, purpose: str
    ) -> tuple[list[FileRecord], bool]:
        """Return an owner's files, and whether there are more.

        Args:
            owner: whose files.
            limit: most files to return.
            after: the id of the last file of the page before; empty: from the first.
            newest_first: else the oldest are first.
            purpose: only files for this; empty: all.

        Raises:
            FileNotFound: ``after`` is not a file of this owner.
        """
        files, start = self._client.keys.files(owner), 0
        if after:
            (rank,) = await self._client.ask(
                lambda pipe: pipe.zrevrank(files, after) if newest_first else pipe.zrank(files, after)
            )
            if rank is None:
                raise FileNotFound(param="after")
            start = rank + 1
        found: list[FileRecord] = []
        while len(found) <= limit:
            # What has expired, or is for something else, is passed over: a page may take several rounds.
            ask = partial(_ask_page, files=files, first=start, most=limit, newest_first=newest_first)
            (ids,) = await self._client.ask(ask)
            if not ids:
                break
            start += len(ids)
            records = await self._read_many([each.decode() for each in ids], owner)
            found += [each for each in records if each and (not purpose or each.purpose == purpose)]
        return found[:limit], len(found) > limit

    async def _read_many(self, file_ids: Sequence[str], owner: str) -> list[FileRecord | None]:
        keys = self._client.keys
        rows = await self._client.ask(
            lambda pipe: [pipe.hmget(keys.file(file_id), _FIELDS) for file_id in file_ids]
        )
        return [_parsed(file_id, row, owner) for file_id, row in zip(file_ids, rows, strict=True)]


def _ask_page(pipe: Any, *, files: str, first: int, most: int, newest_first: bool) -> None:  # noqa: ANN401
    if newest_first:
        pipe.zrevrange(files, first, first + most)
    else:
        pipe.zrange(files, first, first + most)


def _parsed(file_id: str, row: Sequence[bytes | None], owner: str) -> FileRecord | None:
    values = [value.decode() for value in row if value is not None]
    if len(values) != len(_FIELDS) or values[0] != owner:
        return None
    _, filename, purpose, size, created_at, expires_at = values
    return FileRecord(file_id, filename, Purpose(purpose), int(size), int(created_at), int(expires_at))
