"""``/v1/files``: upload, list, fetch and delete. Another owner's file is a 404."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from api.callers.caller import Generator, Reader
from api.callers.rate import RateLimitDep
from api.errors import json_response
from api.files.body import UPLOAD, FileDeleted, FileList, FileObject, file_object, page
from api.files.shelf import MEDIA_TYPE, ShelfDep
from api.jobs.route import documented_errors
from api.store.files import Purpose
from api.waiting.calls import CLIENT_CLOSED_REQUEST

FILES_PATH: Final = "/v1/files"

router = APIRouter(prefix=FILES_PATH, tags=["batches"])

FileId = Annotated[str, Path(max_length=64, description="The file's id.")]
_OF_A_FILE: Final = documented_errors(
    e400="This service has no place for files.", e404="You have no such file."
)


@router.post(
    "",
    response_model=FileObject,
    responses=documented_errors(
        e400="The file or its form is not what it may be, or you have too many files.",
        e408="It takes too long.",
        e413="It is larger than allowed.",
        e415="It is no form.",
        e429="You ask too often.",
    ),
    openapi_extra={"requestBody": UPLOAD},
)
async def upload_file(
    request: Request, caller: Generator, shelf: ShelfDep, rate_limit: RateLimitDep
) -> Response:
    """Upload the lines of a batch."""
    await rate_limit.count(caller, request.scope["state"])
    try:
        return json_response(file_object(await shelf.receive(request, caller.owner)), 200)
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)


@router.get("", response_model=FileList, responses=_OF_A_FILE)
async def list_files(
    *,
    caller: Reader,
    shelf: ShelfDep,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Most files to return.")] = 1000,
    after: Annotated[str, Query(max_length=64, description="The last id of the page before.")] = "",
    order: Annotated[Literal["asc", "desc"], Query(description="By when they were made.")] = "desc",
    purpose: Annotated[Purpose | None, Query(description="Only files for this.")] = None,
) -> Response:
    """Your files."""
    files, more = await shelf.store.page(
        caller.owner,
        limit=limit,
        after=after,
        newest_first=order == "desc",
        purpose=purpose.value if purpose else "",
    )
    return json_response(page([file_object(each) for each in files], more=more), 200)


@router.get("/{file_id}", response_model=FileObject, responses=_OF_A_FILE)
async def read_file(file_id: FileId, caller: Reader, shelf: ShelfDep) -> Response:
    """One file, without its bytes."""
    return json_response(file_object(await shelf.store.read(file_id, caller.owner)), 200)


@router.get(
    "/{file_id}/content",
    response_class=Response,
    responses={
        200: {"description": "Its bytes.", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
        **_OF_A_FILE,
    },
)
async def read_content(file_id: FileId, caller: Reader, shelf: ShelfDep) -> Response:
    """A file's bytes."""
    record, pieces = await shelf.content(file_id, caller.owner)
    headers = {
        "content-length": str(record.bytes),
        "content-disposition": f'attachment; filename="{record.id}.jsonl"',
    }
    return StreamingResponse(pieces, 200, headers, MEDIA_TYPE)


@router.delete(
    "/{file_id}",
    response_model=FileDeleted,
    responses={**_OF_A_FILE, **documented_errors(e409="A batch that has not ended reads it.")},
)
async def delete_file(file_id: FileId, caller: Generator, shelf: ShelfDep) -> Response:
    """Delete a file."""
    await shelf.store.drop(file_id, caller.owner)
    return json_response({"id": file_id, "object": "file", "deleted": True}, 200)
