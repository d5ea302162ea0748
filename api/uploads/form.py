"""Reads a form piece by piece: each part of it goes where it belongs as it comes, files to the disk.

So a body takes no memory but that of the piece that is just there, and what is too large is refused before
the rest of it comes.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from shared.errors import BodyTooLarge, InvalidField, InvalidForm

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS: Final = 64
MAX_FIELD_BYTES: Final = 256 * 1024
"""The longest prompt in the most bytes that a character takes, and as much again."""


class Place(NamedTuple):
    """Where a file goes, and the field as errors name it."""

    path: Path
    param: str


class Came(NamedTuple):
    """A file that has come to its end. ``filename`` is None where its part has none."""

    path: Path
    filename: bytes | None
    size_bytes: int
    digest: str


class Files(Protocol):
    """Which parts of a form are files, and what becomes of them."""

    def place(self, name: str, filename: bytes | None) -> Place | None:
        """Return where a part goes that begins; None: it is a text.

        Raises:
            RequestError: it is not wanted.
        """

    def came(self, file: Came) -> None:
        """A file is whole."""


@dataclass
class _Part:
    """A part that is just coming: a text, or a file that is written."""

    name: str
    path: Path | None = None
    filename: bytes | None = None
    text: bytearray = field(default_factory=bytearray)
    file: BinaryIO | None = None
    size_bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class FormReader:
    """Reads a form.

    Args:
        boundary: what stands between its parts.
        files: says which parts are files.
        once: names of texts that must not come twice.
        max_file_bytes: the largest file.
    """

    def __init__(self, boundary: bytes, files: Files, *, once: Collection[str], max_file_bytes: int) -> None:
        self.texts: dict[str, str] = {}
        self._files = files
        self._once = once
        self._max_file_bytes = max_file_bytes
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
            RequestError: a part of it is not wanted.
            BodyTooLarge: a file is larger than allowed.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise InvalidForm from error

    def end(self) -> None:
        """Say that nothing more comes.

        Raises:
            InvalidForm: its end is missing.
        """
        if not self._ended:
            message = "The form has no end: its last boundary is missing."
            raise InvalidForm(message)

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
        place = self._files.place(name, filename)
        if place is None:
            self._begin_text(name)
        else:
            self._part = _Part(place.param, place.path, filename, file=place.path.open("wb"))

    def _begin_text(self, name: str) -> None:
        if name in self.texts and name in self._once:
            raise twice(name)
        if len(self.texts) == MAX_FIELDS:
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
        part.digest.update(piece)
        # Into the cache of the disk, which takes less time than to hand it to a thread.
        part.file.write(piece)

    def _on_part_end(self) -> None:
        part, self._part = self._current, None
        if part.file is None or part.path is None:
            self.texts[part.name] = _text(bytes(part.text), part.name)
            return
        part.file.close()
        self._files.came(Came(part.path, part.filename, part.size_bytes, part.digest.hexdigest()))

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


def twice(name: str) -> InvalidField:
    """Return the error of a field that comes twice."""
    return InvalidField(f"'{name}' comes twice.", param=name)


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        message = f"'{name}' is not UTF-8."
        raise InvalidForm(message) from error
