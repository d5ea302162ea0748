"""``POST /v1/images/edits``: one durable job that begins with pictures, delivered as its caller prefers."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.callers.caller import Generator
from api.callers.rate import RateLimitDep
from api.edits.body import request_body
from api.edits.intake import IntakeDep, read
from api.edits.request import EditRequest
from api.generations.answer import AnsweringDep
from api.generations.route import ERRORS, HEADERS
from api.generations.submit import Asked
from api.http.addresses import base_of
from api.http.sse import described
from api.schemas import ImagesResponse, JobObject
from api.streams.images import EDITED
from api.waiting.calls import CLIENT_CLOSED_REQUEST
from api.waiting.delivery import DeliveryDep

EDITS_PATH: Final = "/v1/images/edits"


def make_router(body_type: type[EditRequest]) -> APIRouter:
    """Return the route, with these fields."""
    router = APIRouter(tags=["images"])

    @router.post(
        EDITS_PATH,
        response_model=ImagesResponse,
        responses={
            200: {
                "description": "The images; with `stream`, events of the types "
                f"`{EDITED.partial}` and `{EDITED.completed}`.",
                "content": described(EDITED.partial, EDITED.completed, "error"),
                "headers": HEADERS,
            },
            202: {"model": JobObject, "description": "The job, as preferred.", "headers": HEADERS},
            **ERRORS,
        },
        openapi_extra={"requestBody": request_body(body_type)},
        summary="Edit images",
    )
    async def edit_images(
        request: Request,
        caller: Generator,
        delivery: DeliveryDep,
        rate_limit: RateLimitDep,
        answering: AnsweringDep,
        intake: IntakeDep,
    ) -> Response:
        """Draw ``n`` images that begin with others. The call is held as one for new images is."""
        try:
            async with intake.receiving(request) as (received, folder):
                body = read(body_type, received)
                inputs = await intake.looked_at(received, folder)
                base = base_of(request)
                asked = Asked(body, caller, delivery, request.state.request_id, inputs, base)
                async with answering.submitter.remembering_refusals(asked):
                    await rate_limit.count(caller, request.scope["state"])
                    return await answering.answer(asked, received.fields)
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)

    return router
