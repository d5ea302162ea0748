"""Errors on the wire: the one table of HTTP statuses, and the one place that writes an error body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.status import HTTP_400_BAD_REQUEST

from api.metrics import REFUSALS
from shared import errors as e
from shared.logs import get_logger
from shared.printable import printable

log = get_logger(__name__)

INVALID_REQUEST: Final = "invalid_request_error"
SERVER_ERROR: Final = "server_error"
BLOCKED: Final = "image_generation_user_error"


@dataclass(frozen=True)
class Wire:
    """How an error looks over HTTP. ``headers`` are sent with it."""

    status: int
    type: str = INVALID_REQUEST
    headers: Mapping[str, str] = field(default_factory=dict)


_NO_RETRY: Final = {"x-should-retry": "false"}
# What is said of an address may be otherwise in a moment; elsewhere the path alone forbids to keep it.
_NOT_KEPT: Final = {"cache-control": "no-store"}

# Looked up along the class's bases, so a new error has the status of its parent until it gets its own line.
WIRE: Final[Mapping[type[e.DarkroomError], Wire]] = {
    e.DarkroomError: Wire(500, SERVER_ERROR),
    e.RequestError: Wire(400),
    e.InvalidField: Wire(422),
    e.PromptBlocked: Wire(400, BLOCKED),
    e.InvalidApiKey: Wire(401, headers={"www-authenticate": "Bearer"}),
    e.PermissionDenied: Wire(403),
    e.InvalidSignature: Wire(403, headers=_NOT_KEPT),
    e.UrlExpired: Wire(403, headers=_NOT_KEPT),
    e.ObjectNotFound: Wire(404, headers=_NOT_KEPT),
    e.ModelNotFound: Wire(404),
    e.JobNotFound: Wire(404),
    e.FileNotFound: Wire(404),
    e.BatchNotFound: Wire(404),
    e.FileInUse: Wire(409, headers=_NO_RETRY),
    e.BatchEnded: Wire(409, headers=_NO_RETRY),
    e.JobNotFinished: Wire(409, headers=_NO_RETRY),
    e.ResultExpired: Wire(410),
    e.BodyTooLarge: Wire(413),
    e.NotJson: Wire(415),
    e.NotForm: Wire(415),
    e.UnsupportedEncoding: Wire(415, headers={"accept-encoding": "identity"}),
    e.UnsupportedCharset: Wire(415),
    e.UnsupportedExpectation: Wire(417),
    e.UrlTooLong: Wire(414),
    e.HeadTooLarge: Wire(431),
    e.RequestTimeout: Wire(408, headers={"connection": "close"}),
    e.IdempotencyMismatch: Wire(422),
    e.Refused: Wire(503, SERVER_ERROR),
    e.TooManyJobs: Wire(429, "rate_limit_error"),
    e.TooManyBatches: Wire(429, "rate_limit_error"),
    e.RateLimitExceeded: Wire(429, "rate_limit_error"),
    e.JobFailed: Wire(500, SERVER_ERROR, _NO_RETRY),
    e.PictureBlocked: Wire(400, BLOCKED),
    e.DeadlineExceeded: Wire(504, SERVER_ERROR, _NO_RETRY),
    e.JobCancelled: Wire(409, headers=_NO_RETRY),
    e.HeldTooLong: Wire(504, SERVER_ERROR, _NO_RETRY),
}

# What a job's record says of its end, by code.
JOB_ERRORS: Final[Mapping[str, type[e.JobFailed]]] = {
    cls.code: cls
    for cls in (
        e.GenerationFailed,
        e.PictureBlocked,
        e.WorkerLost,
        e.UploadFailed,
        e.DeadlineExceeded,
        e.JobCancelled,
    )
}


def wire(error: type[e.DarkroomError]) -> Wire:
    """Return how an error of this class looks over HTTP."""
    return next(WIRE[base] for base in error.__mro__ if base in WIRE)


def body(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    """Return an error body with all four members."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def json_response(content: object, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return ``content`` as JSON."""
    return Response(json.dumps(content), status, headers, media_type="application/json")


def error_content(error: e.DarkroomError) -> dict[str, Any]:
    """Return the body of one of our errors."""
    return body(error.message, wire(type(error)).type, error.param, error.code)


def error_response(error: e.DarkroomError, about: Mapping[str, str] | None = None) -> Response:
    """Return the response of one of our errors; ``about`` are headers of what it is about."""
    shape = wire(type(error))
    REFUSALS.labels(code=error.code).inc()
    headers = {**shape.headers, **(about or {})}
    if isinstance(error, e.Refused):
        headers["retry-after"] = str(min(60, max(1, error.retry_after_s or 1)))
    if error.job_id:
        headers |= {"location": f"/v1/images/jobs/{error.job_id}", "x-job-id": error.job_id}
    return json_response(shown(error), shape.status, headers)


def shown(error: e.DarkroomError) -> dict[str, Any]:
    """Return the body of one of our errors, with FastAPI's beside it where that has one."""
    content = error_content(error)
    if wire(type(error)).status != 422:  # noqa: PLR2004 - the contract's: FastAPI's shape too
        return content
    where = ["body", error.param] if error.param else ["body"]
    return {"detail": [{"loc": where, "msg": error.message, "type": error.code}], **content}


def job_error(error: Mapping[str, str] | None, job_id: str) -> e.JobFailed:
    """Return the exception for the way a job ended."""
    recorded = error or {}
    cls = JOB_ERRORS.get(recorded.get("code", ""), e.GenerationFailed)
    return cls(recorded.get("message"), job_id=job_id)


async def on_darkroom_error(_: Request, error: Exception) -> Response:
    """Answer with one of our errors."""
    if not isinstance(error, e.DarkroomError):
        raise error
    return error_response(error)


async def on_validation_error(_: Request, error: Exception) -> Response:
    """Answer with FastAPI's validation error and, beside it, ours: the official client shows only ours."""
    if not isinstance(error, RequestValidationError):
        raise error
    return json_response(shown_invalid(error), 422)


def shown_invalid(error: RequestValidationError) -> dict[str, Any]:
    """Return the body of a validation error."""
    # `input` and `ctx` are left out: they repeat the caller's text, which may be large or not encodable.
    problems = [
        {"loc": [_shown(part) for part in p["loc"]], "msg": printable(p["msg"]), "type": p["type"]}
        for p in error.errors()
    ]
    where, message = list(problems[0]["loc"]), str(problems[0]["msg"])
    # JSON that does not parse is located by its character, which names no field.
    param = next((part for part in reversed(where[1:]) if isinstance(part, str)), None)
    code = "invalid_json" if problems[0]["type"] == "json_invalid" else "invalid_value"
    text = f"{param}: {message}" if param else message
    return {"detail": problems, **body(text, INVALID_REQUEST, param, code)}


def _shown(part: int | str) -> int | str:
    """Return a part of where a problem is; a name that the caller made up may have anything in it."""
    return printable(part) if isinstance(part, str) else part


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses (an unreadable body) in our shape; see api/misses.py for paths."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTP_400_BAD_REQUEST:
        # FastAPI's word for JSON that is not broken but cannot be read: no UTF-8, a number of 5,000 digits.
        problem = {"type": "json_invalid", "loc": ("body",), "msg": str(error.detail)}
        return await on_validation_error(request, RequestValidationError([problem]))
    content = body(str(error.detail), INVALID_REQUEST, None, None)
    return json_response(content, error.status_code, error.headers)


def bug_content(error: Exception) -> dict[str, Any]:
    """Return the body of an error nobody foresaw. The only one that is logged as an error."""
    log.error("request.crashed", exc_info=error)
    return body("An internal error happened.", SERVER_ERROR, None, "internal_error")


def bug_response(error: Exception) -> Response:
    """Return the response to an error nobody foresaw."""
    return json_response(bug_content(error), 500)
