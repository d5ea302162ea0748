"""``/v1/models``: the models that can be asked for, in OpenAI's shape, and what each can do."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from api.callers.caller import Anyone
from api.errors import json_response
from api.models.offer import Offer, OfferDep, is_allowed
from api.provided import SettingsDep
from api.schemas import ErrorBody, ModelList, ModelObject
from shared.catalogue import ModelSpec
from shared.catalogue.families import batched_families

router = APIRouter(prefix="/v1/models", tags=["models"])

_STORE_AWAY: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorBody, "description": "The API key is missing or wrong."},
    503: {"model": ErrorBody, "description": "The job store cannot be reached."},
}


@router.get("", response_model=ModelList, responses=_STORE_AWAY)
async def list_models(caller: Anyone, offer: OfferDep, settings: SettingsDep) -> Response:
    """The models that you may use, the default first."""
    specs = await offer.specs()
    allowed = caller.key.models if caller.key else ()
    usable = [spec for spec in specs if is_allowed(spec, allowed)]
    models = [await _model_object(spec, offer, settings.api.max_n) for spec in usable]
    return json_response({"object": "list", "data": models}, 200)


@router.get(
    "/{name:path}",
    response_model=ModelObject,
    responses={404: {"model": ErrorBody, "description": "There is no such model."}, **_STORE_AWAY},
)
async def read_model(
    name: Annotated[str, Path(description="Name or alias, in any case.")],
    _: Anyone,
    offer: OfferDep,
    settings: SettingsDep,
) -> Response:
    """One model."""
    return json_response(await _model_object(await offer.find(name), offer, settings.api.max_n), 200)


async def _model_object(spec: ModelSpec, offer: Offer, max_n: int) -> dict[str, Any]:
    return {
        "id": spec.name,
        "object": "model",
        "created": 0,
        "owned_by": "darkroom",
        "title": spec.title,
        "description": spec.description,
        "aliases": list(spec.aliases),
        "licence": spec.licence,
        "default": spec.name == offer.catalogue.default,
        "ready": await offer.live(spec.name),
        "sizes": spec.sizes.model_dump(),
        "steps": spec.steps.model_dump(),
        "transparent": spec.transparent,
        "negative_prompt": spec.negative_prompt,
        "edits": _edits(spec),
        "token_limit": spec.token_limit,
        "family": spec.family,
        "batched": spec.family in batched_families(),
        "max_n": max_n,
        "runs_as": [way.model_dump() for way in await offer.runs_as(spec.name)],
    }


def _edits(spec: ModelSpec) -> dict[str, Any] | None:
    edits = spec.edits
    if edits is None:
        return None
    return {
        "by": edits.by.value,
        "max_images": edits.most_images,
        "masks": edits.masks,
        "strength": edits.strength.model_dump() if edits.strength else None,
        "required": edits.required,
    }
