"""Receives the form of a file: the file itself, what it is for, and how long it is kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from api.uploads.form import Came, FormReader, Place, twice
from shared.errors import InvalidField, InvalidFile, UnsupportedValue
from shared.printable import printable

FILE_NAME: Final = "file"
PURPOSE: Final = "purpose"
_ANCHOR: Final = "expires_after[anchor]"
_SECONDS: Final = "expires_after[seconds]"
LEAST_TTL_S: Final = 3600
MOST_TTL_S: Final = 30 * 24 * 3600
_MAX_NAME_CHARS: Final = 255
_UNNAMED: Final = "batch.jsonl"


@dataclass(frozen=True)
class ReceivedFile:
    """A file that came. ``ttl_s`` is None where its caller did not say."""

    path: Path
    filename: str
    bytes: int
    ttl_s: int | None


class FileReceiver:
    """Takes a form piece by piece.

    Args:
        boundary: what stands between its parts.
        folder: where its file is written.
        max_file_bytes: the largest file.
    """

    def __init__(self, boundary: bytes, folder: Path, *, max_file_bytes: int) -> None:
        self._file = _File(folder)
        once = {PURPOSE, _ANCHOR, _SECONDS}
        self._reader = FormReader(boundary, self._file, once=once, max_file_bytes=max_file_bytes)

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            InvalidForm: it is no form.
            InvalidField: a part of it is not what it may be.
            BodyTooLarge: the file is larger than allowed.
        """
        self._reader.write(piece)

    def end(self) -> ReceivedFile:
        """Return what came.

        Raises:
            InvalidForm: its end is missing.
            InvalidField: a part is missing, or is not what it may be.
            UnsupportedValue: it is for something that this service does not do.
            InvalidFile: it is empty.
        """
        self._reader.end()
        _check_purpose(self._reader.texts.get(PURPOSE, ""))
        came = self._file.whole
        if came is None:
            message = "'file' is missing: send the file itself."
            raise InvalidField(message, param=FILE_NAME)
        if came.size_bytes == 0:
            message = "The file is empty."
            raise InvalidFile(message, param=FILE_NAME)
        return ReceivedFile(came.path, _name(came.filename), came.size_bytes, _ttl_s(self._reader.texts))

    def close(self) -> None:
        """Close the file that was being written, where the form was given up."""
        self._reader.close()


class _File:
    """The one file of the form."""

    def __init__(self, folder: Path) -> None:
        self.whole: Came | None = None
        self._path = folder / "file"
        self._begun = False

    def place(self, name: str, filename: bytes | None) -> Place | None:
        """Return where a part goes that begins; None: it is a text."""
        if name != FILE_NAME:
            if filename:
                message = f"'{name}' takes no file."
                raise InvalidField(message, param=name)
            return None
        if self._begun:
            raise twice(FILE_NAME)
        self._begun = True
        return Place(self._path, FILE_NAME)

    def came(self, file: Came) -> None:
        """Keep the file, which is whole."""
        self.whole = file


def _check_purpose(purpose: str) -> None:
    if not purpose:
        message = "'purpose' is missing; the only one here is 'batch'."
        raise InvalidField(message, param=PURPOSE)
    if purpose != "batch":
        message = "The only purpose of a file here is 'batch'."
        raise UnsupportedValue(message, param=PURPOSE)


def _name(filename: bytes | None) -> str:
    """Return what a file is called: its name without folders, as it may be shown."""
    text = (filename or b"").decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    return printable(text)[:_MAX_NAME_CHARS].strip() or _UNNAMED


def _ttl_s(texts: dict[str, str]) -> int | None:
    """Return how long the file is kept; None where nothing is said."""
    anchor, seconds = texts.get(_ANCHOR), texts.get(_SECONDS)
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        _refuse("expires_after.anchor", "is 'created_at'")
    if seconds is None or not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= 9):  # noqa: PLR2004
        _refuse("expires_after.seconds", "is a whole number")
    if not LEAST_TTL_S <= int(seconds) <= MOST_TTL_S:
        _refuse("expires_after.seconds", f"is from {LEAST_TTL_S} to {MOST_TTL_S}")
    return int(seconds)


def _refuse(param: str, rule: str) -> NoReturn:
    message = f"'{param}' {rule}."
    raise InvalidField(message, param=param)
