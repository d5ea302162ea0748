"""Where files are kept: what is known of them in Redis, their bytes in the store of objects."""

import asyncio
import codecs
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends, Request

from api.files.form import FileReceiver, ReceivedFile
from api.http.content import check_content
from api.provided import provided
from api.store.files import FileRecord, FileStore, NewFile, Purpose, new_file_id, object_name
from api.uploads.form import boundary_of
from api.uploads.reception import Reception
from shared.errors import FileNotFound, InvalidFile, NotForm, UnsupportedEndpoint
from shared.objects import ObjectStore
from shared.settings import BatchSettings

MEDIA_TYPE: Final = "application/jsonl"
_FORM: Final = "multipart/form-data"
_CHUNK_BYTES: Final = 1024**2
# What a form may take beside its file.
_FORM_BYTES: Final = 64 * 1024
NO_STORE: Final = (
    "This service has no place for files and batches: whoever runs it names one by the setting "
    "DARKROOM_RESULTS__URLS. It draws pictures, with POST /v1/images/generations and POST /v1/images/edits."
)


@dataclass(frozen=True)
class Shelf:
    """Files.

    Attributes:
        store: what is known of them.
        objects: their bytes.
        reception: where they are taken in.
        settings: those of batches.
    """

    store: FileStore
    objects: ObjectStore
    reception: Reception
    settings: BatchSettings

    async def receive(self, request: Request, owner: str) -> FileRecord:
        """Read a file to its end and keep it.

        Raises:
            NotForm: it is no form.
            InvalidForm: the form cannot be read.
            InvalidField: a part of it is not what it may be.
            InvalidFile: it is empty, or no text.
            BodyTooLarge: it is larger than allowed.
            TooManyFiles: its owner has as many as may be.
            QueueFull: too many others are read now, or the disk has no room for it.
            RequestTimeout: it takes longer than allowed.
            ObjectUnavailable: it cannot be stored.
            ClientDisconnect: its sender has gone before its end.
        """
        most_bytes = self.settings.max_file_bytes + _FORM_BYTES
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != _FORM:
            message = "A file is sent as a form (multipart/form-data)."
            raise NotForm(message)
        check_content(request.headers, most_bytes, kinds=(_FORM,))
        async with self.reception.turn() as folder:
            receiver = FileReceiver(
                boundary_of(request.headers["content-type"]),
                folder,
                max_file_bytes=self.settings.max_file_bytes,
            )
            with closing(receiver):
                async with self.reception.in_time():
                    async for piece in self.reception.pieces(request, most_bytes):
                        receiver.write(piece)
                received = receiver.end()
            await asyncio.to_thread(_check_text, received.path)
            return await self._keep(received, owner)

    async def _keep(self, received: ReceivedFile, owner: str) -> FileRecord:
        ttl_s = self.settings.file_ttl_s if received.ttl_s is None else received.ttl_s
        new = NewFile(new_file_id(), owner, received.filename, Purpose.BATCH, received.bytes, ttl_s)
        await self.store.expect(new)
        await asyncio.to_thread(self.objects.put, object_name(new.id), received.path, MEDIA_TYPE)
        return await self.store.keep(new)

    async def content(self, file_id: str, owner: str) -> tuple[FileRecord, AsyncIterator[bytes]]:
        """Return a file and its bytes.

        Raises:
            FileNotFound: there is none.
            ObjectUnavailable: its bytes cannot be read now.
        """
        record = await self.store.read(file_id, owner)
        pieces = self.objects.stream(object_name(file_id))
        try:
            # Before anything is sent: what is not there is a 404, and no answer that breaks off.
            first = await anext(pieces, b"")
        except FileNotFoundError as error:
            raise FileNotFound from error
        return record, _with(first, pieces)


async def _with(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _check_text(path: Path) -> None:
    """Check that a file is a text.

    Raises:
        InvalidFile: it is none.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        message = "The file is not UTF-8."
        raise InvalidFile(message, param="file") from error


async def _there(shelf: Annotated[Shelf | None, provided("shelf")]) -> Shelf:
    """Return the shelf.

    Raises:
        UnsupportedEndpoint: the operator has named no store.
    """
    if shelf is None:
        raise UnsupportedEndpoint(NO_STORE)
    return shelf


ShelfDep = Annotated[Shelf, Depends(_there)]
