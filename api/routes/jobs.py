"""``/v1/images/jobs``: follow, fetch, list and cancel jobs. Another owner's job is a 404."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from starlette.responses import Response

from api.access import Generator, Reader
from api.delivery import describe, job_headers, job_response, result_response
from api.errors import json_response
from api.held_call import ChangedCall
from api.holding import Held
from api.prefer import Prefer
from api.resources import ResourcesDep
from api.schemas import JOB_HEADERS, ErrorBody, ImagesResponse, JobList, JobObject, ValidationErrorBody
from api.sse import EventStream, described
from api.streams.job import Followed

router = APIRouter(prefix="/v1/images/jobs", tags=["jobs"])

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The job's id.")]


def _errors(**texts: str) -> dict[int | str, dict[str, Any]]:
    documented: dict[int | str, dict[str, Any]] = {
        int(name.removeprefix("e")): {"model": ErrorBody, "description": text} for name, text in texts.items()
    }
    return {
        401: {"model": ErrorBody, "description": "The API key is missing or wrong."},
        403: {"model": ErrorBody, "description": "The API key must not do this."},
        422: {"model": ValidationErrorBody, "description": "A parameter is not what it may be."},
        503: {"model": ErrorBody, "description": "The job store cannot be reached."},
        **documented,
    }


def _of_a_job(**texts: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"headers": JOB_HEADERS}, **_errors(e404="You have no such job.", **texts)}


@router.get("", response_model=JobList, responses=_errors(e404="`after` is none of your jobs."))
async def list_jobs(
    caller: Reader,
    resources: ResourcesDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Most jobs to return.")] = 20,
    after: Annotated[
        str, Query(pattern="^([0-9a-f]{32})?$", description="The last id of the page before; empty: none.")
    ] = "",
) -> Response:
    """Your jobs, newest first."""
    records, more = await resources.store.page(caller.owner, limit=limit, after=after or None)
    jobs = await asyncio.gather(*(describe(resources.store, record) for record in records))
    return json_response({"object": "list", "data": jobs, "has_more": more}, 200)


@router.get("/{job_id}", response_model=JobObject, responses=_of_a_job())
async def read_job(
    job_id: JobId,
    caller: Reader,
    resources: ResourcesDep,
    prefer: Annotated[str, Header(description="`wait=N` holds until the status changes.")] = "",
) -> Response:
    """One job."""
    preference = Prefer.parse(prefer)
    record, place = await resources.store.read_placed(job_id, caller.owner)
    if preference.wait_s is None or record.status.terminal:
        return job_response(record, place)
    limit_s = min(float(preference.wait_s), resources.settings.api.sync_timeout_s)
    headers = {"preference-applied": f"wait={preference.wait_s}"}
    return Held(ChangedCall(resources, record, limit_s, headers))


@router.get(
    "/{job_id}/result",
    response_model=ImagesResponse,
    responses=_of_a_job(
        e409="It has not ended, or was cancelled.",
        e410="The result has expired.",
        e500="The job failed.",
        e504="The job's deadline passed.",
    ),
)
async def read_result(job_id: JobId, caller: Reader, resources: ResourcesDep) -> Response:
    """The documented body, byte for byte the one that the held call gets."""
    found = await resources.store.read_with_result(job_id, caller.owner)
    return result_response(*found, detailed=resources.settings.api.detailed_responses)


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Events: `status` (the job), `progress` (of a running one), `preview`, and `end`.",
            "content": described("status", "progress", "preview", "end", "error"),
            "headers": JOB_HEADERS,
        },
        **_errors(e404="You have no such job."),
    },
)
async def follow_job(
    job_id: JobId,
    caller: Reader,
    resources: ResourcesDep,
    last_event_id: Annotated[
        str,
        Header(max_length=256, description="The last id of a stream that was cut."),
    ] = "",
) -> Response:
    """What happens to a job, as server-sent events, until it has ended."""
    record = await resources.store.read(job_id, caller.owner)
    followed = Followed.resuming(resources, caller.owner, job_id, last_event_id)
    return EventStream(followed.events(), job_headers(record), resources.settings.api.heartbeat_s)


@router.delete("/{job_id}", response_model=JobObject, responses=_of_a_job())
async def cancel_job(job_id: JobId, caller: Generator, resources: ResourcesDep) -> Response:
    """Cancel a job. A finished one is left as it is."""
    await resources.store.cancel(job_id, caller.owner)
    return job_response(*await resources.store.read_placed(job_id, caller.owner))
