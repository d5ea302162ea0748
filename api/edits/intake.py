"""Takes in a request that brings pictures: its body to the disk, its pictures looked at and made plain."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request

from api.edits.apart import Apart, ReaderLostError
from api.edits.document import DocumentError, Wrong
from api.edits.form import FormReceiver
from api.edits.pictures import PictureError
from api.edits.received import Received
from api.edits.request import EditRequest, of_form
from api.http.content import JSON, check_content, kind_of
from api.provided import provided
from api.uploads.form import boundary_of
from api.uploads.reception import Reception
from shared.errors import (
    BodyTooLarge,
    DarkroomError,
    InvalidField,
    InvalidImage,
    NotForm,
    UnsupportedValue,
)
from shared.logs import get_logger
from shared.settings import ApiSettings

log = get_logger(__name__)


FORM: Final = "multipart/form-data"


@dataclass(frozen=True)
class Upload:
    """The pictures of one request, looked at. Those of :class:`api.generations.submit.Inputs`."""

    intake: "Intake"
    received: Received
    sizes: tuple[tuple[int, int], ...]
    folder: Path

    @property
    def masked(self) -> bool:
        """Whether there is a mask."""
        return self.received.files.mask is not None

    @property
    def digests(self) -> tuple[str, ...]:
        """A hash of each file; where the mask stands is known by how many images there are."""
        return (str(len(self.sizes)), *self.received.digests)

    async def files(self, most_px: int) -> Mapping[str, Path]:
        """Return where the pictures lie as plain files, by the names under which the job has them.

        Raises:
            InvalidImage: one cannot be read.
        """
        files = self.received.files
        with self.intake.saying(self.received):
            plain = await self.intake.apart.convert(files, self.folder, most_px)
        return {"mask" if which is None else str(which): path for which, path in plain.each()}


class Intake:
    """Takes in bodies with pictures, some at a time.

    Args:
        settings: those of the HTTP process.
        reception: where they are taken in.
    """

    def __init__(self, settings: ApiSettings, reception: Reception) -> None:
        self._settings = settings
        self._reception = reception
        self.apart = Apart(settings.max_readers, settings.reading_timeout_s)

    async def close(self) -> None:
        """End what runs beside."""
        await self.apart.close()

    @asynccontextmanager
    async def receiving(self, request: Request) -> AsyncIterator[tuple[Received, Path]]:
        """Read a body to its end; its files lie in a folder of its own until this ends.

        Raises:
            NotForm: it is neither a form nor JSON.
            BodyTooLarge: it is larger than allowed, or one of its files is.
            QueueFull: too many others are read now, or the disk has no room for it.
            RequestTimeout: it takes longer than allowed.
            ClientDisconnect: its sender has gone before its end.
        """
        kind = _checked(request.headers, self._settings.max_upload_bytes)
        async with self._reception.turn() as folder:
            receive = self._json if kind == JSON else self._form
            yield await receive(request, folder), folder

    @asynccontextmanager
    async def unpacking(self, document: bytes, inside: str) -> AsyncIterator[tuple[Received, Path]]:
        """Take the pictures out of a document; its files lie in a folder of their own until this ends.

        Args:
            document: JSON.
            inside: which member of it is the request.

        Raises:
            BodyTooLarge: a file in it is larger than allowed.
            RequestValidationError: it cannot be read.
            InvalidField: a picture in it is not what it may be.
            UnsupportedValue: the same, and it could be elsewhere.
            QueueFull: the disk has no room for it.
        """
        with self._reception.folder() as folder:
            body = folder / "body"
            await asyncio.to_thread(body.write_bytes, document)
            yield await self._unpacked(body, folder, inside), folder

    async def looked_at(self, received: Received, folder: Path) -> Upload:
        """Return a request's pictures, whose files are what they should be as far as can be seen in front.

        Raises:
            InvalidImage: one is not.
        """
        with self.saying(received):
            sizes = await self.apart.look(received.files, self._settings.max_input_px)
        return Upload(self, received, sizes, folder)

    @contextmanager
    def saying(self, received: Received) -> Iterator[None]:
        """Say of a request's pictures, while they are read, what is wrong with them.

        Raises:
            InvalidImage: one cannot be read.
        """
        try:
            yield
        except PictureError as error:
            raise _invalid(received, error) from error
        except (TimeoutError, ReaderLostError) as error:
            log.warning("picture.not_read", reason=type(error).__name__)
            message = "The pictures could not be read: that took too much time or memory."
            raise InvalidImage(message, param="image") from error

    async def _form(self, request: Request, folder: Path) -> Received:
        settings = self._settings
        receiver = FormReceiver(
            boundary_of(request.headers["content-type"]),
            folder,
            max_images=settings.max_input_images,
            max_file_bytes=settings.max_input_file_bytes,
        )
        with closing(receiver):
            async with self._reception.in_time():
                async for piece in self._reception.pieces(request, settings.max_upload_bytes):
                    receiver.write(piece)
            received = receiver.end()
        return Received(of_form(received.fields), received.files, received.digests)

    async def _json(self, request: Request, folder: Path) -> Received:
        settings, body = self._settings, folder / "body"
        with body.open("wb") as file:
            async with self._reception.in_time():
                async for piece in self._reception.pieces(request, settings.max_upload_bytes):
                    file.write(piece)
        return await self._unpacked(body, folder)

    async def _unpacked(self, body: Path, folder: Path, inside: str = "") -> Received:
        settings = self._settings
        try:
            return await self.apart.unpack(
                body, folder, settings.max_input_images, settings.max_input_file_bytes, inside
            )
        except DocumentError as error:
            _refuse(error)
        except (TimeoutError, ReaderLostError) as error:
            log.warning("body.not_read", reason=type(error).__name__)
            message = "The body takes too much time or memory to be read."
            raise BodyTooLarge(message) from error
        finally:
            await asyncio.to_thread(body.unlink)


def _checked(headers: Mapping[str, str], max_bytes: int) -> str:
    """Return what kind of body it is, by what it says of itself."""
    kind = kind_of(headers)
    if kind not in {JSON, FORM}:
        raise NotForm
    check_content(headers, max_bytes, kinds=(JSON, FORM))
    return kind


def _invalid(received: Received, error: PictureError) -> InvalidImage:
    """Say which picture it is, and what is wrong with it."""
    if error.picture is None:
        return InvalidImage(f"The mask {error.reason}.", param="mask")
    several = len(received.files.images)
    which = "The image" if several == 1 else f"Image {error.picture + 1} of {several}"
    return InvalidImage(f"{which} {error.reason}.", param="image")


def _refuse(error: DocumentError) -> NoReturn:
    kinds: dict[Wrong, type[DarkroomError]] = {
        Wrong.FORM: InvalidField,
        Wrong.VALUE: UnsupportedValue,
        Wrong.SIZE: BodyTooLarge,
    }
    if error.kind is Wrong.JSON:
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": error.message}])
    raise kinds[error.kind](error.message, param=error.param) from error


def read(body_type: type[EditRequest], received: Received) -> EditRequest:
    """Return the fields.

    Raises:
        RequestValidationError: one is not what it may be, or there is no picture.
    """
    problems: list[Any] = []
    if not received.files.images:
        problems.append({"type": "missing", "loc": ("body", "image"), "msg": "Field required"})
    try:
        body = body_type.model_validate(received.fields)
    except ValidationError as error:
        problems += [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()]
    if problems:
        raise RequestValidationError(problems)
    return body


IntakeDep = Annotated[Intake, provided("intake")]
