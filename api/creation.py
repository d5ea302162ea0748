"""From a request that can be read to its answer: a held call, a stream, or the job."""

from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from api.delivery import job_headers
from api.generation_request import GenerationRequest, ResponseFormat
from api.held_call import HeldCall
from api.holding import Held
from api.prefer import Prefer
from api.resources import Resources
from api.sse import EventStream
from api.store import Submitted
from api.streams.images import Streamed
from api.submitting import Asked, submit
from shared.errors import UnsupportedParameter, UnsupportedValue

# OpenAI's own fields that would change what is drawn: ignoring them would return the wrong picture.
CANNOT_HONOUR: Final = ("image", "mask", "input_fidelity")


async def create(asked: Asked, document: dict[str, Any], resources: Resources) -> Response:
    """Make the job and answer as its caller wants it delivered.

    Args:
        asked: the request.
        document: its body as it came.
        resources: those of this process.

    Raises:
        RequestError: no model can do this, or it may not be drawn.
        Refused: it is not accepted now.
    """
    headers = _refuse_or_name_unknown(document)
    _refuse_unsupported(asked.body)
    if asked.body.stream:
        # A stream is an answer of its own: no preference can make another of it.
        asked = replace(asked, delivery=replace(asked.delivery, prefer=Prefer()))
    submitted = await submit(asked, resources)
    if asked.body.stream:
        return await _streamed(asked, submitted, headers, resources)
    return await _held_or_accepted(asked, submitted, headers, resources)


async def _streamed(
    asked: Asked, submitted: Submitted, headers: dict[str, str], resources: Resources
) -> Response:
    streamed = Streamed(resources, asked.caller.owner, submitted.job_id, asked.delivery)
    streamed.enter()
    # A stream says in its head what it is of: its own job, which is known, or an earlier one.
    record = submitted.now[0] if submitted.now else await streamed.begin()
    head, heartbeat_s = {**headers, **job_headers(record)}, resources.settings.api.heartbeat_s
    return EventStream(streamed.events(record), head, heartbeat_s, streamed.left)


async def _held_or_accepted(
    asked: Asked, submitted: Submitted, headers: dict[str, str], resources: Resources
) -> Response:
    delivery, job_id = asked.delivery, submitted.job_id
    call = HeldCall(resources, asked.caller.owner, job_id, delivery, headers, fresh=submitted.made)
    if delivery.prefer.hold_s is not None:
        headers["preference-applied"] = delivery.prefer.applied
    if not delivery.waits:
        return await call.accepted(submitted.now)
    resources.holds.enter(job_id)
    return Held(call)


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
