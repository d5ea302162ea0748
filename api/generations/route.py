"""``POST /v1/images/generations``: one durable job, delivered the way the caller prefers."""

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.callers.caller import Generator
from api.callers.rate import RateLimitDep
from api.generations.answer import AnsweringDep
from api.generations.request import GenerationRequest
from api.generations.submit import Asked
from api.http.addresses import base_of
from api.http.sse import described
from api.schemas import (
    JOB_HEADERS,
    ErrorBody,
    ImagesResponse,
    JobObject,
    ValidationErrorBody,
)
from api.streams.images import DRAWN
from api.waiting.delivery import DeliveryDep

GENERATIONS_PATH: Final = "/v1/images/generations"

HEADERS: Final = {
    **JOB_HEADERS,
    "x-ignored-fields": {
        "description": "Fields that the service does not know, if there were any.",
        "schema": {"type": "string"},
    },
}
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


def make_router(body_type: type[GenerationRequest]) -> APIRouter:
    """Return the route, with this body."""
    router = APIRouter(tags=["images"])

    @router.post(
        GENERATIONS_PATH,
        response_model=ImagesResponse,
        responses={
            200: {
                "description": "The images; with `stream`, events of the types "
                "`image_generation.partial_image` and `image_generation.completed`.",
                "content": described(DRAWN.partial, DRAWN.completed, "error"),
                "headers": HEADERS,
            },
            202: {"model": JobObject, "description": "The job, as preferred.", "headers": HEADERS},
            **ERRORS,
        },
        summary="Create images",
    )
    async def create_images(
        request: Request,
        body: body_type,  # type: ignore[valid-type]
        caller: Generator,
        delivery: DeliveryDep,
        rate_limit: RateLimitDep,
        answering: AnsweringDep,
    ) -> Response:
        """Draw ``n`` images. The call is held until they are there, unless ``Prefer`` says otherwise."""
        asked = Asked(body, caller, delivery, request.state.request_id, base=base_of(request))
        async with answering.submitter.remembering_refusals(asked):
            await rate_limit.count(caller, request.scope["state"])
            return await answering.answer(asked, await request.json())

    return router
