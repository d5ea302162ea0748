"""``/v1/batches``: make, follow, list and cancel. Another owner's batch is a 404."""

from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from api.batches.body import BatchList, BatchObject, BatchRequest, batch_object
from api.batches.desk import DeskDep
from api.callers.caller import Generator, Reader
from api.callers.rate import RateLimitDep
from api.errors import json_response
from api.files.body import page
from api.http.addresses import base_of
from api.jobs.route import documented_errors
from api.waiting.delivery import IDEMPOTENCY_KEY_CHARS

BATCHES_PATH: Final = "/v1/batches"

router = APIRouter(prefix=BATCHES_PATH, tags=["batches"])

BatchId = Annotated[str, Path(max_length=64, description="The batch's id.")]
_OF_A_BATCH: Final = documented_errors(
    e400="This service has no place for batches.", e404="You have no such batch."
)


@router.post(
    "",
    response_model=BatchObject,
    responses=documented_errors(
        e400="The endpoint, the window or the file is not supported.",
        e404="You have no such file.",
        e413="The body is larger than allowed.",
        e415="The body is not JSON.",
        e429="You have too many unfinished batches, or ask too often.",
    ),
)
async def create_batch(
    request: Request,
    *,
    body: BatchRequest,
    caller: Generator,
    desk: DeskDep,
    rate_limit: RateLimitDep,
    idempotency_key: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            max_length=IDEMPOTENCY_KEY_CHARS,
            description="Replays the same batch for 24 h.",
        ),
    ] = "",
) -> Response:
    """Draw what the lines of a file ask for, when nobody waits, within 24 hours."""
    await rate_limit.count(caller, request.scope["state"])
    record = await desk.begin(body, caller, request.state.request_id, idempotency_key, base_of(request))
    return json_response(batch_object(record), 200)


@router.get("", response_model=BatchList, responses=_OF_A_BATCH)
async def list_batches(
    caller: Reader,
    desk: DeskDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Most batches to return.")] = 20,
    after: Annotated[str, Query(max_length=64, description="The last id of the page before.")] = "",
) -> Response:
    """Your batches, newest first."""
    records, more = await desk.store.page(caller.owner, limit=limit, after=after)
    return json_response(page([batch_object(each) for each in records], more=more), 200)


@router.get("/{batch_id}", response_model=BatchObject, responses=_OF_A_BATCH)
async def read_batch(batch_id: BatchId, caller: Reader, desk: DeskDep) -> Response:
    """One batch."""
    return json_response(batch_object(await desk.store.read(batch_id, caller.owner)), 200)


@router.post(
    "/{batch_id}/cancel",
    response_model=BatchObject,
    responses={**_OF_A_BATCH, **documented_errors(e409="It has ended, or is about to.")},
)
async def cancel_batch(batch_id: BatchId, caller: Generator, desk: DeskDep) -> Response:
    """Cancel a batch: what is drawn by then is in its files."""
    return json_response(batch_object(await desk.store.cancel(batch_id, caller.owner)), 200)
