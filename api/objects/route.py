"""``/files/``: what lies in a folder, for whoever has an address that this service has signed."""

import asyncio
import time
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from api.objects.links import FILES_PATH, LinksDep
from api.schemas import ErrorBody
from shared.errors import InvalidSignature, ObjectNotFound, UrlExpired

# By the end of the name and by nothing in the file: no page is ever among them.
_MEDIA_TYPES: Final = {
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpeg": "image/jpeg",
    ".jsonl": "application/jsonl",
}
_MOST_DIGITS: Final = 12

router = APIRouter(tags=["images"])


class LargeFile(FileResponse):
    """A file, read in few pieces: each is a way to a thread and back."""

    chunk_size = 512 * 1024


@router.get(
    FILES_PATH + "{name:path}",
    response_class=Response,
    responses={
        200: {
            "description": "The picture, whole; with `Range`, a 206 with a part of it.",
            "content": {kind: {} for kind in _MEDIA_TYPES.values()},
        },
        304: {"description": "It is what `If-None-Match` names."},
        403: {"model": ErrorBody, "description": "The address was changed, or has expired."},
        404: {"model": ErrorBody, "description": "It is gone."},
        503: {"model": ErrorBody, "description": "The job store cannot be reached."},
    },
    summary="Read a picture at its address",
)
async def read_file(
    request: Request,
    name: str,
    links: LinksDep,
    expires: Annotated[str, Query(description="Unix seconds.")] = "",
    signature: Annotated[str, Query(description="Of the name and that instant.")] = "",
) -> Response:
    """A picture of a folder, for whoever has its address; no API key is asked for."""
    until = int(expires) if _is_instant(expires) else None
    if until is None or not await links.signer.has_signed(name, until, signature):
        raise InvalidSignature
    left_s = int(until - time.time())
    if left_s <= 0:
        raise UrlExpired
    folder = links.objects.folder if links.objects is not None else None
    if folder is None:
        raise ObjectNotFound
    return await _file(request, folder, name, left_s)


async def _file(request: Request, folder: Path, name: str, left_s: int) -> Response:
    """Return a file below a folder, or that it is as the caller has it.

    Raises:
        ObjectNotFound: there is none.
    """
    files = StaticFiles(directory=folder, check_dir=False)
    try:
        path, found = await asyncio.to_thread(files.lookup_path, name)
    except (OSError, ValueError) as error:  # no name of a file: too long, a NUL in it
        raise ObjectNotFound from error
    if found is None or not S_ISREG(found.st_mode):
        raise ObjectNotFound
    own = PurePosixPath(name)
    response = LargeFile(
        path,
        # Never another picture under this name; nobody's but who has the address, and no longer than that.
        headers={"cache-control": f"private, max-age={left_s}, immutable"},
        media_type=_MEDIA_TYPES.get(own.suffix, "application/octet-stream"),
        filename=own.name,
        stat_result=found,
        content_disposition_type="inline",
    )
    if files.is_not_modified(response.headers, request.headers):
        return NotModifiedResponse(response.headers)
    return response


def _is_instant(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
