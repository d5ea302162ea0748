"""What counts as a ring: exactly the message that Celery sends for one, and nothing else.

Celery's worker ends at a message that is put together wrongly, and does what one that is put together well
asks for: later, several times, with other tasks behind it. Whoever can write to the broker may ring, no more.
"""

import base64
import binascii
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

RING: Final = "darkroom.ring"

_Word = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


class _Headers(_Part):
    task: Literal[RING]  # type: ignore[valid-type]
    id: _Word
    eta: None = None
    expires: None = None
    group: None = None
    retries: Literal[0] = 0
    timelimit: Annotated[list[None] | None, Field(max_length=2)] = None


class _Properties(_Part):
    correlation_id: _Word
    delivery_tag: _Word
    delivery_info: dict[str, str | None]
    body_encoding: Literal["base64"]


class _Message(_Part):
    body: Annotated[str, StringConstraints(max_length=4096)]
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    headers: _Headers
    properties: _Properties


class _Embedded(_Part):
    """What could make other tasks of this one."""

    callbacks: None = None
    errbacks: None = None
    chain: None = None
    chord: None = None


# Celery's protocol 2: positional arguments, named ones, what is embedded.
_BODY: Final = TypeAdapter(
    tuple[Annotated[list[_Word], Field(min_length=1, max_length=1)], dict[str, None], _Embedded],
    config=ConfigDict(hide_input_in_errors=True),
)


def is_ring(message: Any) -> bool:  # noqa: ANN401 - whatever was in the broker's list
    """Whether this is a ring of ours."""
    try:
        body = base64.b64decode(_Message.model_validate(message).body, validate=True)
        _, named, _ = _BODY.validate_json(body)
    except (ValidationError, binascii.Error):
        return False
    return not named
