"""``/v1/images/jobs``: follow, fetch, list and cancel jobs. Another owner's job is a 404."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from api.callers.caller import Generator, Reader
from api.errors import json_response
from api.http.addresses import base_of
from api.jobs.body import describe, job_response
from api.jobs.result import result_response
from api.objects.links import LinksDep
from api.provided import SettingsDep
from api.schemas import JOB_HEADERS, ErrorBody, ImagesResponse, JobList, JobObject, ValidationErrorBody
from api.store.jobs import JobStoreDep
from api.waiting.calls import Held, left
from api.waiting.delivery import Prefer
from api.waiting.patience import patiently
from api.waiting.waiting import Waiting, WaitingDep
from api.waiting.watch import State, Woken
from shared.jobs.record import JobRecord

router = APIRouter(prefix="/v1/images/jobs", tags=["jobs"])

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The job's id.")]


def documented_errors(**texts: str) -> dict[int | str, dict[str, Any]]:
    """Return what a route's errors look like in the OpenAPI file: those of all, and ``e404`` and the like."""
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
    return {200: {"headers": JOB_HEADERS}, **documented_errors(e404="You have no such job.", **texts)}


@router.get("", response_model=JobList, responses=documented_errors(e404="`after` is none of your jobs."))
async def list_jobs(
    caller: Reader,
    store: JobStoreDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Most jobs to return.")] = 20,
    after: Annotated[
        str, Query(pattern="^([0-9a-f]{32})?$", description="The last id of the page before; empty: none.")
    ] = "",
) -> Response:
    """Your jobs, newest first."""
    records, more = await store.page(caller.owner, limit=limit, after=after or None)
    jobs = await asyncio.gather(*(describe(store, record) for record in records))
    return json_response({"object": "list", "data": jobs, "has_more": more}, 200)


@router.get("/{job_id}", response_model=JobObject, responses=_of_a_job())
async def read_job(
    job_id: JobId,
    caller: Reader,
    store: JobStoreDep,
    waiting: WaitingDep,
    prefer: Annotated[str, Header(description="`wait=N` holds until the status changes.")] = "",
) -> Response:
    """One job."""
    preference = Prefer.parse(prefer)
    record, place = await store.read_placed(job_id, caller.owner)
    if preference.wait_s is None or record.status.terminal:
        return job_response(record, place)
    limit_s = min(float(preference.wait_s), waiting.longest_s)
    headers = {"preference-applied": f"wait={preference.wait_s}"}
    return Held(ChangedCall(waiting, record, limit_s, headers), waiting.watch)


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
async def read_result(
    request: Request,
    job_id: JobId,
    caller: Reader,
    store: JobStoreDep,
    links: LinksDep,
    settings: SettingsDep,
) -> Response:
    """The documented body, byte for byte the one that the held call gets."""
    record, images = await store.read_with_result(job_id, caller.owner)
    shown = await links.shown(record, images, base_of(request))
    return result_response(record, shown, detailed=settings.api.detailed_responses)


@router.delete("/{job_id}", response_model=JobObject, responses=_of_a_job())
async def cancel_job(job_id: JobId, caller: Generator, store: JobStoreDep) -> Response:
    """Cancel a job. A finished one is left as it is."""
    await store.cancel(job_id, caller.owner)
    return job_response(*await store.read_placed(job_id, caller.owner))


@dataclass(frozen=True, slots=True)
class ChangedCall:
    """A call that waits until a job has left the state of this record."""

    fresh: ClassVar[bool] = False

    waiting: Waiting
    record: JobRecord
    limit_s: float
    headers: dict[str, str]

    @property
    def job_id(self) -> str:
        """The job."""
        return self.record.id

    @property
    def seen(self) -> State:
        """The state that it is to leave."""
        return self.record.status, self.record.attempt

    async def answer(self, why: Woken) -> Response:
        """Return the job as it is now."""
        if why is Woken.CALLER_GONE:
            return left(self.job_id)
        store = self.waiting.store
        now = await patiently(lambda: store.read_placed(self.job_id, self.record.owner))
        return job_response(*now, self.headers)
