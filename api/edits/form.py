"""Receives a form: each part of it goes where it belongs as it comes, files to the disk.

So a body takes no memory but that of the piece that is just there, and what is too large is refused before
the rest of it comes.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from api.edits.pictures import Files
from api.edits.received import Received
from api.edits.request import EditRequest
from shared.errors import BodyTooLarge, InvalidField, InvalidForm, UnsupportedParameter

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS: Final = 64
MAX_FIELD_BYTES: Final = 256 * 1024
"""The longest prompt in the most bytes that a character takes, and as much again."""
IMAGE_NAMES: Final = frozenset({"image", "image[]", "images", "images[]"})
MASK_NAME: Final = "mask"


@dataclass
class _Part:
    """A part that is just coming: a text, or a file that is written."""

    name: str
    path: Path | None = None
    filename: bytes | None = None
    text: bytearray = field(default_factory=bytearray)
    file: BinaryIO | None = None
    size_bytes: int = 0


class FormReceiver:
    """Takes a form piece by piece.

    Args:
        boundary: what stands between its parts.
        folder: where its files are written.
        max_images: most images.
        max_file_bytes: the largest file.
    """

    def __init__(self, boundary: bytes, folder: Path, *, max_images: int, max_file_bytes: int) -> None:
        self._folder = folder
        self._max_images = max_images
        self._max_file_bytes = max_file_bytes
        self._texts: dict[str, str] = {}
        self._images: list[Path] = []
        self._mask: Path | None = None
        self._digests: dict[Path, str] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        self._disposition = b""
        self._part: _Part | None = None
        self._ended = False
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError as error:
            raise InvalidForm from error

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            InvalidForm: it is no form.
            InvalidField: a part of it is not what it may be.
            UnsupportedParameter: a part of it would change what is drawn, and is not understood.
            BodyTooLarge: a file is larger than allowed.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise InvalidForm from error

    def end(self) -> Received:
        """Return what came.

        Raises:
            InvalidForm: its end is missing.
        """
        if not self._ended:
            message = "The form has no end: its last boundary is missing."
            raise InvalidForm(message)
        files = Files(tuple(self._images), self._mask)
        digests = tuple(self._digests[path] for _, path in files.each())
        return Received(dict(self._texts), files, digests)

    def close(self) -> None:
        """Close the file that was being written, where the form was given up."""
        if self._part is not None and self._part.file is not None:
            self._part.file.close()

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._disposition = b""

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            message = "A part of the form has no name."
            raise InvalidForm(message)
        name = _text(options[b"name"], "a part's name")
        filename = options.get(b"filename")
        if name in IMAGE_NAMES or name == MASK_NAME:
            self._begin_file(name, filename)
        elif filename and name in EditRequest.cannot_honour:
            message = f"'{name}' is not supported: {EditRequest.cannot_honour[name]}."
            raise UnsupportedParameter(message, param=name)
        elif filename:
            message = f"'{name}' takes no file."
            raise InvalidField(message, param=name)
        else:
            self._begin_text(name)

    def _begin_file(self, name: str, filename: bytes | None) -> None:
        param = MASK_NAME if name == MASK_NAME else "image"
        if name == MASK_NAME:
            if self._mask is not None:
                raise _twice(MASK_NAME)
            path = self._mask = self._folder / "mask"
        else:
            if len(self._images) == self._max_images:
                message = f"There are more than {self._max_images} images."
                raise InvalidField(message, param=param)
            path = self._folder / f"image-{len(self._images)}"
            self._images.append(path)
        self._part = _Part(param, path, filename, file=path.open("wb"))
        self._digest = hashlib.sha256()

    def _begin_text(self, name: str) -> None:
        if name in self._texts and name in EditRequest.model_fields:
            raise _twice(name)
        if len(self._texts) == MAX_FIELDS:
            message = f"The form has more than {MAX_FIELDS} fields."
            raise InvalidForm(message)
        self._part = _Part(name)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current
        part.size_bytes += end - start
        if part.file is None:
            if part.size_bytes > MAX_FIELD_BYTES:
                message = f"'{part.name}' is larger than {MAX_FIELD_BYTES} bytes."
                raise InvalidField(message, param=part.name)
            part.text += data[start:end]
            return
        if part.size_bytes > self._max_file_bytes:
            message = f"A file is larger than {self._max_file_bytes} bytes."
            raise BodyTooLarge(message, param=part.name)
        piece = data[start:end]
        self._digest.update(piece)
        # Into the cache of the disk, which takes less time than to hand it to a thread.
        part.file.write(piece)

    def _on_part_end(self) -> None:
        part, self._part = self._current, None
        if part.file is None or part.path is None:
            self._texts[part.name] = _text(bytes(part.text), part.name)
            return
        part.file.close()
        if part.filename == b"" and part.size_bytes == 0:
            # What a browser sends of a field in which no file was chosen.
            self._images = [path for path in self._images if path != part.path]
            self._mask = None if self._mask == part.path else self._mask
            return
        self._digests[part.path] = self._digest.hexdigest()

    def _on_end(self) -> None:
        self._ended = True

    @property
    def _current(self) -> _Part:
        if self._part is None:
            raise InvalidForm
        return self._part


def boundary_of(content_type: str) -> bytes:
    """Return what stands between the parts of a form.

    Raises:
        InvalidForm: its content type does not say.
    """
    _, options = parse_options_header(content_type)
    if not options.get(b"boundary"):
        message = "The Content-Type of the form names no boundary."
        raise InvalidForm(message, param="Content-Type")
    return options[b"boundary"]


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        message = f"'{name}' is not UTF-8."
        raise InvalidForm(message) from error


def _twice(name: str) -> InvalidField:
    return InvalidField(f"'{name}' comes twice.", param=name)
