"""``GET /v1/usage``: what the caller's finished jobs used, by day and model."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BeforeValidator
from starlette.responses import Response

from api.callers.caller import Reader
from api.errors import json_response
from api.schemas import ErrorBody, UsageReport, ValidationErrorBody
from api.store.accounts import AccountStoreDep
from shared.api_keys import Scope
from shared.errors import PermissionDenied

MOST_DAYS: Final = 92
_EPOCH: Final = date(1970, 1, 1)
_COUNTED: Final = ("jobs", "images", "input_tokens", "output_tokens")

router = APIRouter(tags=["usage"])


def _written(value: object) -> object:
    """Let no number pass for a date: pydantic would count its seconds from 1970."""
    if isinstance(value, str) and "-" not in value[1:]:
        message = "a day is written YYYY-MM-DD"
        raise ValueError(message)
    return value


@router.get(
    "/v1/usage",
    response_model=UsageReport,
    responses={
        401: {"model": ErrorBody, "description": "The API key is missing or wrong."},
        403: {"model": ErrorBody, "description": "The API key must not see this."},
        422: {"model": ValidationErrorBody, "description": "A parameter is not what it may be."},
        503: {"model": ErrorBody, "description": "The job store cannot be reached."},
    },
)
async def usage(
    caller: Reader,
    accounts: AccountStoreDep,
    end: Annotated[
        date | None, BeforeValidator(_written), Query(description="Last day (UTC); default: today.")
    ] = None,
    days: Annotated[int, Query(ge=1, le=MOST_DAYS, description="How many days, up to the last.")] = 30,
    key_id: Annotated[
        str, Query(pattern="^([0-9a-f]{16})?$", description="Of this API key, with the scope `admin`.")
    ] = "",
) -> Response:
    """Jobs that ended with a picture, each counted once: images, tokens, and seconds of a device."""
    if key_id and caller.key is not None and Scope.ADMIN not in caller.key.scopes:
        message = "Another key's usage needs the scope 'admin'."
        raise PermissionDenied(message, param="key_id")
    last = ((end or datetime.now(UTC).date()) - _EPOCH).days
    asked = range(max(0, last - days + 1), max(0, last + 1))
    rows = await accounts.usage(f"key.{key_id}" if key_id else caller.owner, asked)
    buckets = [_line(day, row, model) for day, row in zip(asked, rows, strict=True) for model in _models(row)]
    total = {what: sum(bucket[what] for bucket in buckets) for what in _amounts({}, "")}
    report = {
        "object": "usage",
        "start": _day(asked.start),
        "end": _day(asked.stop - 1),
        "total": total,
        "data": buckets,
    }
    return json_response(report, 200)


def _day(day: int) -> str:
    return str(_EPOCH + timedelta(days=day))


def _models(row: Mapping[str, int]) -> list[str]:
    return sorted({name.rpartition(":")[0] for name in row})


def _line(day: int, row: Mapping[str, int], model: str) -> dict[str, Any]:
    return {"date": _day(day), "model": model, **_amounts(row, model)}


def _amounts(row: Mapping[str, int], model: str) -> dict[str, Any]:
    counted = {what: row.get(f"{model}:{what}", 0) for what in _COUNTED}
    return {**counted, "device_seconds": row.get(f"{model}:device_ms", 0) / 1000}
