"""The lines of a batch's file: where they lie, and what each must be before anything is drawn of it."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from api.store.files import object_name
from shared.objects import ObjectStore

MAX_CUSTOM_ID_CHARS: Final = 512
_CHUNK_BYTES: Final = 1024**2
# What stands around the body of a request.
ENVELOPE_BYTES: Final = 16 * 1024


@dataclass(frozen=True)
class Line:
    """A line of a file.

    Attributes:
        number: which one, from 1; blank ones count.
        offset: where it begins, in bytes.
        text: without its end.
        size: what it takes with its end, in bytes.
    """

    number: int
    offset: int
    text: bytes
    size: int

    @property
    def blank(self) -> bool:
        """Whether there is nothing in it."""
        return not self.text.strip()


class LineTooLong(Exception):
    """A line has no end within what one may take. ``number`` is which one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(eq=False)
class Problem(Exception):
    """What is wrong with a line, as a batch's ``errors`` tell it."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


@dataclass(frozen=True)
class Envelope:
    """What a line says: ``custom_id`` is its caller's name for it, ``body`` the request."""

    custom_id: str
    body: dict[str, Any]


@dataclass(frozen=True)
class LineFile:
    """A batch's file.

    Attributes:
        objects: where it lies.
        file_id: the file.
        size: what it takes, in bytes.
        max_line_bytes: the longest line.
    """

    objects: ObjectStore
    file_id: str
    size: int
    max_line_bytes: int

    async def lines(self, number: int = 1, offset: int = 0) -> AsyncIterator[Line]:
        """Yield the lines from one on.

        Args:
            number: the first of them.
            offset: where it begins.

        Raises:
            LineTooLong: one has no end.
            FileNotFoundError: the file is gone.
            ObjectUnavailable: it cannot be read now.
        """
        held, read_to = bytearray(), offset
        while read_to < self.size:
            chunk = await self._part(read_to, _CHUNK_BYTES)
            read_to += len(chunk)
            looked = len(held)
            held += chunk
            while (end := held.find(b"\n", looked)) >= 0:
                if end > self.max_line_bytes:
                    raise LineTooLong(number)
                line = Line(number, offset, bytes(held[:end]), end + 1)
                del held[: end + 1]
                yield line
                number, offset, looked = number + 1, offset + line.size, 0
            if len(held) > self.max_line_bytes:
                raise LineTooLong(number)
        if held:
            yield Line(number, offset, bytes(held), len(held))

    async def line(self, number: int, offset: int, size: int) -> Line:
        """Return one line of which it is known where it lies.

        Raises:
            FileNotFoundError: the file is gone.
            ObjectUnavailable: it cannot be read now.
        """
        text = await self._part(offset, size)
        return Line(number, offset, text.removesuffix(b"\n"), size)

    async def _part(self, start: int, size: int) -> bytes:
        part = await self.objects.part(object_name(self.file_id), start, min(size, self.size - start))
        if not part:
            raise FileNotFoundError
        return part


def job_id_of(batch_id: str, number: int) -> str:
    """Return the id of a line's job: the same whoever makes it, and however often."""
    # The batch's id is random, so nobody can guess this one.
    return hashlib.sha256(f"{batch_id}:{number}".encode()).hexdigest()[:32]


def opened(line: Line, endpoint: str) -> Envelope:
    """Return what a line says.

    Raises:
        Problem: it is not what it must be.
    """
    try:
        document = json.loads(line.text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _problem(line, "invalid_json_line", "This line is no JSON object.", None)
    custom_id = document.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID_CHARS:
        message = f"'custom_id' is a text of 1 to {MAX_CUSTOM_ID_CHARS} characters."
        raise _problem(line, _missing_or(document, "custom_id"), message, "custom_id")
    if document.get("method") != "POST":
        raise _problem(line, _missing_or(document, "method"), "'method' is 'POST'.", "method")
    if document.get("url") != endpoint:
        message = f"'url' is the endpoint of the batch, '{endpoint}'."
        raise _problem(line, _missing_or(document, "url"), message, "url")
    body = document.get("body")
    if not isinstance(body, dict):
        raise _problem(line, _missing_or(document, "body"), "'body' is a JSON object.", "body")
    return Envelope(custom_id, body)


def _missing_or(document: dict[str, Any], name: str) -> str:
    return f"invalid_{name}" if name in document else "missing_required_parameter"


def _problem(line: Line, code: str, message: str, param: str | None) -> Problem:
    return Problem(code, message, param, line.number)
