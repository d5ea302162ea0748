"""``POST /v1/images/generations``: one durable job, delivered the way the caller prefers."""

import json
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import Counted, Generator
from api.generation_request import GenerationRequest, ResponseFormat
from api.held_call import HeldCall
from api.holding import Held
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
from shared.errors import UnsupportedParameter, UnsupportedValue

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
    call = HeldCall(resources, caller.owner, job_id, delivery, headers)
    if delivery.prefer.hold_s is None:
        if delivery.held:
            resources.holds.enter(job_id)
        return Held(call.until_ended)
    headers["preference-applied"] = delivery.prefer.applied
    return Held(call.for_a_while) if delivery.prefer.hold_s > 0 else await call.answer(ended=False)


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
