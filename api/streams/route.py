"""``GET /v1/images/jobs/{id}/events``: one job, as it happens."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from api.callers.caller import Reader
from api.http.sse import EventStream, described
from api.jobs.body import job_headers
from api.jobs.route import JobId, documented_errors
from api.provided import SettingsDep
from api.schemas import JOB_HEADERS
from api.streams.job import Followed
from api.waiting.waiting import WaitingDep

router = APIRouter(prefix="/v1/images/jobs", tags=["jobs"])


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Events: `status` (the job), `progress` (of a running one), `preview`, and `end`.",
            "content": described("status", "progress", "preview", "end", "error"),
            "headers": JOB_HEADERS,
        },
        **documented_errors(e404="You have no such job."),
    },
)
async def follow_job(
    job_id: JobId,
    caller: Reader,
    waiting: WaitingDep,
    settings: SettingsDep,
    last_event_id: Annotated[
        str,
        Header(max_length=256, description="The last id of a stream that was cut."),
    ] = "",
) -> Response:
    """What happens to a job, as server-sent events, until it has ended."""
    record = await waiting.store.read(job_id, caller.owner)
    followed = Followed.resuming(waiting, caller.owner, job_id, last_event_id)
    return EventStream(followed.events(), job_headers(record), settings.api.heartbeat_s)
