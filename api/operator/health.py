"""Is the process alive, and can it serve."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from api.errors import json_response
from api.models.offer import OfferDep
from api.provided import SettingsDep
from api.schemas import Health, Readiness
from api.store.observation import ObservationStoreDep
from shared.errors import StoreUnavailable

router = APIRouter(tags=["health"])

_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Readiness, "description": "It cannot serve now."}
}


@router.get("/healthz", response_model=Health)
async def healthz() -> Response:
    """The process is alive."""
    return json_response({"status": "ok"}, 200)


@router.get("/readyz", response_model=Readiness, responses=_NOT_READY)
async def readyz(offer: OfferDep, observation: ObservationStoreDep, settings: SettingsDep) -> Response:
    """Whether Redis answers and a live worker serves the default model."""
    model = offer.catalogue.default
    try:
        age_s = (await observation.liveness()).age_s(model)
    except StoreUnavailable:
        return json_response({"status": "not_ready", "redis": False, "model": model, "worker": False}, 503)
    worker = age_s <= settings.jobs.lease_s
    status = "ready" if worker else "not_ready"
    return json_response(
        {"status": status, "redis": True, "model": model, "worker": worker}, 200 if worker else 503
    )
