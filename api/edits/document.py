"""Takes the pictures out of a JSON body: the other spelling of a form. Runs in a process of its own.

There, what a body of many megabytes takes as text and as objects is nobody's memory but that process's.
"""

import binascii
import hashlib
import json
from enum import Enum
from pathlib import Path
from typing import Any, Final

from pybase64 import b64decode

from api.edits.pictures import Files
from api.edits.received import Received

MAX_FIELDS_BYTES: Final = 1024**2
"""What everything but the pictures may take, as of a request without any."""
_NAMES: Final = ("images", "image")


class Wrong(Enum):
    """What may be wrong with a body."""

    JSON = "it is none"
    FORM = "a field has not the form that it must have"
    VALUE = "a value is not supported"
    SIZE = "a file is too large"


class DocumentError(Exception):
    """A body is not what it may be.

    Args:
        kind: of what is wrong.
        message: the same in words.
        param: the field.
    """

    def __init__(self, kind: Wrong, message: str, param: str | None = None) -> None:
        super().__init__(kind, message, param)
        self.kind, self.message, self.param = kind, message, param


def unpack(body: Path, folder: Path, max_images: int, max_file_bytes: int, inside: str = "") -> Received:
    """Read a JSON body, and write its pictures to files.

    Args:
        body: where it lies.
        folder: where its pictures are written.
        max_images: most images.
        max_file_bytes: the largest file.
        inside: which member of the body is the request; empty: all of it is.

    Raises:
        DocumentError: it is not what it may be.
    """
    fields = _object(body.read_bytes(), inside)
    mask = fields.pop("mask", None)
    several = _several(fields)
    if len(json.dumps(fields)) > MAX_FIELDS_BYTES:
        raise DocumentError(Wrong.SIZE, f"The fields take more than {MAX_FIELDS_BYTES} bytes.")
    if len(several) > max_images:
        raise DocumentError(Wrong.FORM, f"There are more than {max_images} images.", "images")
    paths, digests = [], []
    for i, each in enumerate(several):
        paths.append(folder / f"image-{i}")
        digests.append(_write(each, "images", paths[-1], max_file_bytes))
    if mask is None:
        return Received(fields, Files(tuple(paths)), tuple(digests))
    digests.append(_write(mask, "mask", folder / "mask", max_file_bytes))
    return Received(fields, Files(tuple(paths), folder / "mask"), tuple(digests))


def _several(fields: dict[str, Any]) -> list[Any]:
    """Take the images out of the fields, by whichever of their names."""
    given = [each for each in (fields.pop(name, None) for name in _NAMES) if each is not None]
    if len(given) > 1:
        raise DocumentError(
            Wrong.FORM, "'image' and 'images' are the same field: send one of them.", "images"
        )
    return given[0] if given and isinstance(given[0], list) else given


def _object(body: bytes, inside: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DocumentError(Wrong.JSON, "The body is not JSON.") from error
    if inside and isinstance(document, dict):
        document = document.get(inside)
    if not isinstance(document, dict):
        raise DocumentError(Wrong.FORM, "The body must be a JSON object.")
    return document


def _write(value: object, param: str, path: Path, max_bytes: int) -> str:
    """Write what a field says to a file; return a hash of it."""
    file = _decoded(_url(value, param), param)
    if len(file) > max_bytes:
        raise DocumentError(Wrong.SIZE, f"A file is larger than {max_bytes} bytes.", param)
    path.write_bytes(file)
    return hashlib.sha256(file).hexdigest()


def _url(value: object, param: str) -> str:
    if isinstance(value, dict):
        if "file_id" in value and "image_url" not in value:
            raise DocumentError(Wrong.VALUE, "A file_id is not supported: send the picture itself.", param)
        value = value.get("image_url")
    if not isinstance(value, str):
        raise DocumentError(Wrong.FORM, 'A picture is {"image_url": "data:image/png;base64,…"}.', param)
    return value


def _decoded(url: str, param: str) -> bytes:
    head, comma, data = url.partition(",")
    if not head.lower().startswith("data:"):
        # The service fetches nothing from anywhere.
        raise DocumentError(Wrong.VALUE, "The only URLs that are read are data: URLs.", param)
    if not comma or not head.lower().endswith(";base64"):
        raise DocumentError(Wrong.VALUE, "A data: URL holds its picture as base64.", param)
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DocumentError(Wrong.FORM, "The base64 of a picture is broken.", param) from error
