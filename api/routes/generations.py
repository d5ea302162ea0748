"""``POST /v1/images/generations``: one durable job, delivered the way the caller prefers."""

import json
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import Counted, Generator
from api.delivery import JOBS_PATH, describe, result_response
from api.errors import json_response
from api.generation_request import GenerationRequest, ResponseFormat
from api.holding import CallerGone, accepted, hold, left, patiently
from api.owner import Caller
from api.prefer import Delivery, DeliveryDep, Prefer
from api.resources import Resources, ResourcesDep
from api.schemas import (
    ErrorBody,
    ImagesResponse,
    JobObject,
    ValidationErrorBody,
)
from api.sse import EventStream, described
from api.streams.images import COMPLETED, PARTIAL, Streamed
from api.submitting import submit
from shared.errors import (
    HeldTooLong,
    UnsupportedParameter,
    UnsupportedValue,
)

GENERATIONS_PATH: Final = "/v1/images/generations"
# OpenAI's own fields that would change what is drawn: ignoring them would return the wrong picture.
CANNOT_HONOUR = ("image", "mask", "input_fidelity")

ERRORS: dict[int | str, dict[str, Any]] = {
    422: {"model": ValidationErrorBody, "description": "A field is not what it may be."},
    **{
        status: {"model": ErrorBody, "description": text}
        for status, text in {
            400: "A value or parameter is not supported, or moderation blocked it.",
            401: "The API key is missing or wrong.",
            403: "The API key must not do this.",
            404: "There is no such model.",
            409: "The job was cancelled.",
            410: "The result has expired.",
            413: "The body is larger than allowed.",
            415: "The body is not JSON.",
            429: "You have too many unfinished jobs, or ask too often.",
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
        GENERATIONS_PATH,
        response_model=ImagesResponse,
        responses={
            200: {
                "description": "The images; with `stream`, events of the types "
                "`image_generation.partial_image` and `image_generation.completed`.",
                "content": described(PARTIAL, COMPLETED, "error"),
            },
            202: {"model": JobObject, "description": "The job, as preferred."},
            **ERRORS,
        },
        summary="Create images",
        dependencies=[Counted],
    )
    async def create_images(
        request: Request,
        body: body_type,  # type: ignore[valid-type]
        caller: Generator,
        resources: ResourcesDep,
        delivery: DeliveryDep,
    ) -> Response:
        """Draw ``n`` images. The call is held until they are there, unless ``Prefer`` says otherwise."""
        return await _create(request, body, caller, resources, delivery)

    return router


async def _create(
    request: Request, body: GenerationRequest, caller: Caller, resources: Resources, delivery: Delivery
) -> Response:
    headers = _refuse_or_name_unknown(json.loads(await request.body()))
    _refuse_unsupported(body)
    if body.stream:
        # A stream is an answer of its own: no preference can make another of it.
        delivery = replace(delivery, prefer=Prefer())
    job_id = await submit(request, body, caller, resources, delivery)
    headers["x-job-id"] = job_id
    if body.stream:
        streamed = Streamed(resources, caller.owner, job_id, delivery)
        streamed.enter()
        return EventStream(streamed.events(), headers, resources.settings.api.heartbeat_s, streamed.left)
    if delivery.prefer.hold_s is None:
        return await _held(request, caller, resources, delivery, job_id, headers)
    headers["preference-applied"] = delivery.prefer.applied
    limit_s = min(delivery.prefer.hold_s, resources.settings.api.sync_timeout_s)
    try:
        ended = limit_s > 0 and await hold(request, resources, job_id, resources.watch.ended(job_id, limit_s))
    except CallerGone:
        return left(job_id)
    record = await accepted(resources.store, job_id, caller.owner)
    if ended:
        return await patiently(lambda: result_response(resources.store, record, headers))
    headers |= {"location": f"{JOBS_PATH}/{job_id}", "retry-after": "1"}
    return json_response(await describe(resources.store, record), 202, headers)


async def _held(
    request: Request,
    caller: Caller,
    resources: Resources,
    delivery: Delivery,
    job_id: str,
    headers: dict[str, str],
) -> Response:
    """Hold the call until its job ends."""
    if delivery.held:
        resources.holds.enter(job_id)
    try:
        limit_s = resources.settings.api.sync_timeout_s
        ended = await hold(request, resources, job_id, resources.watch.ended(job_id, limit_s))
    except CallerGone:
        if delivery.held:
            resources.holds.gone(job_id, delivery.on_disconnect)
        return left(job_id)
    if not ended:
        if delivery.held:
            await resources.holds.keep(job_id)
        raise HeldTooLong(job_id=job_id)
    if delivery.held:
        resources.holds.ended(job_id)
    record = await accepted(resources.store, job_id, caller.owner)
    return await patiently(lambda: result_response(resources.store, record, headers))


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


def _refuse_unsupported(body: GenerationRequest) -> None:
    if body.response_format is ResponseFormat.URL:
        message = "response_format 'url' is not supported: images come back as b64_json."
        raise UnsupportedValue(message, param="response_format")
