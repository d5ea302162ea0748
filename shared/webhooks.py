"""Who is told how a job ended, and what signs it: as Standard Webhooks say.

A secret is ``whsec_`` and 256 random bits as base64. It is shown once, to the operator; what is kept of it
must be the secret itself, since it signs. So it lies in a hash of its own, which only what sends may read.
"""

import base64
import re
import secrets
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_URL_CHARS: Final = 2048
OPEN: Final = "open"
"""Whose secret it is where callers need no key; no id of a key is this word."""
COURIER_LIVE_S: Final = 15.0
"""A courier that was not heard of for so long is gone."""
OVERLAP_S: Final = 24 * 3600
"""After a rotation, what is sent is signed with the old secret too for so long."""
_SECRET_BYTES: Final = 32

_PORT: Final = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# Read in one way only: no login, no brackets, no fragment, and nothing that a parser would mend.
_URL: Final = (
    rf"^(https?)://({_LABEL}(\.{_LABEL}){{0,31}})(:{_PORT})?([/?][A-Za-z0-9!$%&'()*+,./:;=?@_~-]*)?$"
)
_PARSED: Final = re.compile(_URL, re.ASCII)
_PORTS: Final = {"http": 80, "https": 443}


class Event(StrEnum):
    """What happens to a job that somebody may want to be told of."""

    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"


ALL_EVENTS: Final = tuple(Event)


class Target:
    """Where a webhook goes, read from its URL once and for all.

    Args:
        url: of a :class:`Webhook`.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, url: str) -> None:
        found = _PARSED.fullmatch(url) if len(url) <= MAX_URL_CHARS else None
        if found is None:
            message = "no URL of a webhook"
            raise ValueError(message)
        scheme, host, port, rest = (found[i] for i in (1, 2, 7, 8))
        self.scheme: Final[str] = scheme
        self.host: Final[str] = host
        self.port: Final[int] = int(port) if port else _PORTS[scheme]
        self.path: Final[str] = rest if rest and rest.startswith("/") else f"/{rest or ''}"


def _url(value: str) -> str:
    try:
        Target(value)
    except ValueError as error:
        code = "webhook_url"
        text = "must be http:// or https://, a host and a path: in ASCII, without a login or a fragment"
        raise PydanticCustomError(code, text) from error
    return value


def _all_where_none(value: object) -> object:
    return ALL_EVENTS if value is None else value


def _each_once(value: tuple[Event, ...]) -> tuple[Event, ...]:
    return tuple(event for event in ALL_EVENTS if event in value)


Url = Annotated[
    str, Field(max_length=MAX_URL_CHARS, json_schema_extra={"pattern": _URL}), AfterValidator(_url)
]
_Events = Annotated[tuple[Event, ...], Field(min_length=1, max_length=16), AfterValidator(_each_once)]
Events = Annotated[
    _Events,
    BeforeValidator(_all_where_none),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "array",
                    "items": {"type": "string", "enum": [event.value for event in ALL_EVENTS]},
                    "minItems": 1,
                    "maxItems": 16,
                },
                {"type": "null"},
            ]
        }
    ),
]


class Webhook(BaseModel):
    """Where to post what became of a job, and which ends are to be told."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Url = Field(description="https or http; a path and a query may follow the host.")
    events: Events = Field(ALL_EVENTS, description="Default: all three.", validate_default=True)


class Hook(BaseModel):
    """A webhook as a job's record has it. ``signer`` says whose secret signs it: a key's id, or ``open``."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    url: str
    events: tuple[str, ...]
    signer: str


class Defaults(BaseModel):
    """What a key with a secret has of webhooks. ``url`` is where its jobs are told of that name no other."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    url: str | None = None
    events: tuple[str, ...] = ALL_EVENTS


class Signing(BaseModel):
    """The secrets of one signer as they are kept. Instants are unix seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    secret: str
    made_at: int
    previous: str | None = None
    previous_until: int = 0

    @classmethod
    def new(cls, now: int) -> Self:
        """Return a first secret."""
        return cls(secret=new_secret(), made_at=now)

    def rotated(self, now: int) -> Self:
        """Return another secret, beside which this one goes on for a while."""
        return type(self)(
            secret=new_secret(), made_at=now, previous=self.secret, previous_until=now + OVERLAP_S
        )

    def at(self, now: float) -> tuple[str, ...]:
        """Return the secrets that sign at this instant, the newest first."""
        old = (self.previous,) if self.previous and now < self.previous_until else ()
        return (self.secret, *old)


def new_secret() -> str:
    """Return a secret; it is shown once."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
