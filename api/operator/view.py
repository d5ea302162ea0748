"""``GET /v1/operator``: what the whole service does now, for those who run it."""

from typing import Final

from fastapi import APIRouter
from pydantic import TypeAdapter
from starlette.responses import Response

from api.callers.caller import Admin
from api.errors import json_response
from api.provided import SettingsDep
from api.schemas import ErrorBody, OperatorView
from api.store.observation import ObservationStoreDep
from api.store.overview import Overview

router = APIRouter(tags=["operator"])

_VIEW: Final = TypeAdapter(Overview)


@router.get(
    "/v1/operator",
    response_model=OperatorView,
    responses={
        401: {"model": ErrorBody, "description": "The API key is missing or wrong."},
        403: {"model": ErrorBody, "description": "The API key lacks the scope `admin`."},
        503: {"model": ErrorBody, "description": "The job store cannot be reached."},
    },
)
async def operator(_: Admin, observation: ObservationStoreDep, settings: SettingsDep) -> Response:
    """Queues, workers, how full their batches are, and recent failures; nothing of what was asked for."""
    seen = await observation.overview(settings.jobs.lease_s)
    return json_response(_VIEW.dump_python(seen, mode="json"), 200)
