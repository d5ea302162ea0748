"""``POST /v1/images/generations``: one durable job, delivered the way the caller prefers."""

import json
import math
import secrets
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from api.delivery import JOBS_PATH, describe, result_response
from api.errors import json_response
from api.holding import CallerGone, hold, read_patiently
from api.owner import Caller, CallerDep
from api.prefer import Prefer
from api.resources import Resources, ResourcesDep
from api.schemas import (
    ErrorBody,
    GenerationRequest,
    ImagesResponse,
    JobObject,
    ResponseFormat,
    ValidationErrorBody,
)
from api.store import Submission
from shared.catalogue import ModelSpec
from shared.errors import (
    HeldTooLong,
    InvalidField,
    QueueFull,
    Refused,
    TooManyJobs,
    UnsupportedParameter,
    UnsupportedValue,
)
from shared.logs import get_logger
from shared.params import Params

log = get_logger(__name__)

# OpenAI's own fields that would change what is drawn: ignoring them would return the wrong picture.
CANNOT_HONOUR = ("image", "mask", "input_fidelity")
MAX_KEY_CHARS = 255
# nginx's status for a client that hung up; nobody receives it, the log line does.
CLIENT_CLOSED_REQUEST = 499

ERRORS: dict[int | str, dict[str, Any]] = {
    422: {"model": ValidationErrorBody, "description": "A field is not what it may be."},
    **{
        status: {"model": ErrorBody, "description": text}
        for status, text in {
            400: "A value or parameter is not supported.",
            404: "There is no such model.",
            409: "The job was cancelled.",
            410: "The result has expired.",
            413: "The body is larger than allowed.",
            415: "The body is not JSON.",
            429: "You have too many unfinished jobs.",
            500: "The job failed.",
            503: "The service cannot take work now.",
            504: "The job took too long.",
        }.items()
    },
}


def make_router(max_n: int) -> APIRouter:
    """Return the route, with the configured limit of ``n``."""
    router = APIRouter(tags=["images"])
    body_type = GenerationRequest.with_max_n(max_n)

    @router.post(
        "/v1/images/generations",
        response_model=ImagesResponse,
        responses={202: {"model": JobObject, "description": "The job, as preferred."}, **ERRORS},
        summary="Create images",
    )
    async def create_images(
        request: Request,
        body: body_type,  # type: ignore[valid-type]
        caller: CallerDep,
        resources: ResourcesDep,
        prefer: Annotated[str | None, Header(description="`respond-async` or `wait=N`.")] = None,
        idempotency_key: Annotated[str | None, Header(description="Replays the same job for 24 h.")] = None,
    ) -> Response:
        """Draw ``n`` images. The call is held until they are there, unless ``Prefer`` says otherwise."""
        return await _create(request, body, caller, resources, Prefer.parse(prefer), idempotency_key or "")

    return router


async def _create(
    request: Request,
    body: GenerationRequest,
    caller: Caller,
    resources: Resources,
    prefer: Prefer,
    idempotency_key: str,
) -> Response:
    raw = await request.body()
    headers = _refuse_or_name_unknown(json.loads(raw))
    _refuse_unsupported(body, idempotency_key)
    params = body.params(secrets.randbits(32))
    spec = await resources.offer.choose(body.model, params)
    submission = _submission(request, body, caller, spec, params)
    job_id = await _submit(resources, submission)
    headers["x-job-id"] = job_id
    if prefer.applied:
        headers["preference-applied"] = prefer.applied
    limit_s = resources.settings.api.sync_timeout_s
    hold_s = limit_s if prefer.hold_s is None else min(prefer.hold_s, limit_s)
    try:
        ended = hold_s > 0 and await hold(request, resources, job_id, hold_s)
    except CallerGone:
        log.info("caller.left", job_id=job_id)
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    record = await read_patiently(resources, job_id, caller.owner)
    if ended or (record.status.terminal and prefer.hold_s is None):
        return await result_response(resources.store, record, headers)
    if prefer.hold_s is None:
        raise HeldTooLong(job_id=job_id)
    headers |= {"location": f"{JOBS_PATH}/{job_id}", "retry-after": "1"}
    return json_response(await describe(resources.store, record), 202, headers)


async def _submit(resources: Resources, submission: Submission) -> str:
    try:
        job_id, made = await resources.store.submit(submission)
    except (QueueFull, TooManyJobs) as refusal:
        drain_s = await resources.store.drain_s(submission.model, submission.cost)
        raise type(refusal)(retry_after_s=math.ceil(drain_s)) from refusal
    except Refused as refusal:
        log.warning("job.refused", code=refusal.code, model=submission.model)
        raise
    structlog.contextvars.bind_contextvars(job_id=job_id)
    if made:
        resources.ringer.ring(submission.model)
        log.info("job.submitted", model=submission.model, cost=submission.cost)
    else:
        log.info("job.attached", model=submission.model)
    return job_id


def _submission(
    request: Request, body: GenerationRequest, caller: Caller, spec: ModelSpec, params: Params
) -> Submission:
    retries = request.headers.get("x-stainless-retry-count", "0")
    key = request.headers.get("idempotency-key", "")
    return Submission(
        id=secrets.token_hex(16),
        owner=caller.owner,
        lane=caller.lane(body.user),
        model=spec.name,
        params=params.model_dump_json(),
        # A whole number of thousandths, so that sums of costs never drift.
        cost=max(1, math.ceil(1000 * spec.cost(params.width, params.height, params.n, params.quality))),
        request_id=request.state.request_id,
        # What was asked for, not the bytes: key order, spacing and nulls make no other request.
        body_digest=caller.digest(body.model_dump_json()),
        replay_digest=caller.digest(key) if key else "",
        retry=retries.isdigit() and int(retries) > 0,
    )


def _refuse_or_name_unknown(document: dict[str, Any]) -> dict[str, str]:
    """Return the header that names ignored fields.

    Raises:
        UnsupportedParameter: an unknown field would change what is drawn.
    """
    unknown = [name for name in document if name not in GenerationRequest.model_fields]
    for name in unknown:
        if name in CANNOT_HONOUR and document[name] is not None:
            message = f"'{name}' is not supported: this service draws from text only."
            raise UnsupportedParameter(message, param=name)
    # Names are the caller's text: only what a header may carry goes back, and not much of it.
    named = [name for name in unknown if name.isascii() and name.isprintable() and "," not in name]
    return {"x-ignored-fields": ", ".join(named)[:512]} if named else {}


def _refuse_unsupported(body: GenerationRequest, idempotency_key: str) -> None:
    if body.response_format is ResponseFormat.URL:
        message = "response_format 'url' is not supported: images come back as b64_json."
        raise UnsupportedValue(message, param="response_format")
    if body.stream:
        message = "stream is not supported yet; follow the job instead (Prefer: respond-async)."
        raise UnsupportedParameter(message, param="stream")
    if len(idempotency_key) > MAX_KEY_CHARS:
        message = f"Idempotency-Key must have at most {MAX_KEY_CHARS} characters."
        raise InvalidField(message, param="Idempotency-Key")
