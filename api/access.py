"""Who may do what: the key behind a request, its scopes, and how often it may ask."""

import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import structlog
from fastapi import Depends, Header, Request

from api.owner import Caller, owned_by
from api.resources import Resources, ResourcesDep
from shared.api_keys import ApiKey, Scope
from shared.errors import PermissionDenied, RateLimitExceeded

_SCOPE_NAME: Final = r"^[A-Za-z0-9_.:-]{0,128}$"
NAMED: Final = re.compile(_SCOPE_NAME.strip("^$"))
"""What the name of an organization or project may be, empty for none."""
_WINDOW_S: Final = 60

_Organization = Annotated[
    str, Header(alias="OpenAI-Organization", pattern=_SCOPE_NAME, description="Part of who owns the job.")
]
_Project = Annotated[
    str, Header(alias="OpenAI-Project", pattern=_SCOPE_NAME, description="Part of who owns the job.")
]
_Authorization = Annotated[str, Header(description="`Bearer` and an API key.")]


async def caller(  # a plain function would be called in a thread
    resources: ResourcesDep,
    authorization: _Authorization = "",
    organization: _Organization = "",
    project: _Project = "",
) -> Caller:
    """Read who is calling from the headers."""
    return await identify(resources, Credentials(authorization, organization, project))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says of who makes it: the values of its three headers, empty where they are missing."""

    authorization: str
    organization: str
    project: str


async def identify(resources: Resources, given: Credentials) -> Caller:
    """Return who makes a request.

    Raises:
        InvalidApiKey: a key is needed, and there is none or a wrong one.
        PermissionDenied: the key is not for this organization or project.
    """
    scheme, _, text = given.authorization.partition(" ")
    text = text.strip() if scheme.lower() == "bearer" else ""
    key = await resources.keyring.find(text)
    salt = resources.settings.api.owner_salt.get_secret_value().encode()
    if key is None:
        return owned_by(salt, text, given.organization, given.project)
    structlog.contextvars.bind_contextvars(key_id=key.id)
    organization = _within("OpenAI-Organization", given.organization, key.organizations)
    project = _within("OpenAI-Project", given.project, key.projects)
    return owned_by(salt, key.id, organization, project, key=key)


def _within(header: str, given: str, allowed: tuple[str, ...]) -> str:
    """Return what the header says, or what the key says for it."""
    if not allowed:
        return given
    if not given and len(allowed) == 1:
        return allowed[0]
    if given not in allowed:
        message = f"This API key is not for the {header} '{given}'." if given else f"Say which {header}."
        raise PermissionDenied(message, param=header)
    return given


def require(caller: Caller, *scopes: Scope) -> Caller:
    """Return the caller.

    Raises:
        PermissionDenied: its key has none of these scopes.
    """
    if caller.key is not None and not caller.key.scopes & set(scopes):
        message = f"This API key lacks the scope '{scopes[0]}'."
        raise PermissionDenied(message)
    return caller


def _with(*scopes: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    async def check(caller: Annotated[Caller, Depends(caller)]) -> Caller:
        return require(caller, *scopes)

    return check


Generator = Annotated[Caller, Depends(_with(Scope.GENERATE))]
Reader = Annotated[Caller, Depends(_with(Scope.READ))]
Anyone = Annotated[Caller, Depends(_with(*Scope))]
Admin = Annotated[Caller, Depends(_with(Scope.ADMIN))]


async def count_request(request: Request, caller: Generator, resources: ResourcesDep) -> None:
    """Count this request."""
    await count(caller, resources, request.scope["state"])


async def count(caller: Caller, resources: Resources, state: dict[str, Any]) -> None:
    """Count a request against what its key allows a minute, and say in headers what is left.

    Args:
        caller: who makes it.
        resources: those of this process.
        state: that of the request's scope, where the headers of its answer are kept.

    Raises:
        RateLimitExceeded: nothing is left.
    """
    limit = _limit(caller.key, resources)
    if limit is None:
        return
    subject = caller.key.id if caller.key else caller.owner
    allowed, left, whole_ms, wait_ms = await resources.store.count(subject, limit, _WINDOW_S * 1000)
    state["headers"] = {
        # The names of OpenAI's service, and those of the IETF's draft.
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(left),
        "x-ratelimit-reset-requests": f"{whole_ms}ms",
        "ratelimit-policy": f'"requests";q={limit};w={_WINDOW_S}',
        "ratelimit": f'"requests";r={left};t={math.ceil(whole_ms / 1000)}',
    }
    if not allowed:
        message = f"Rate limit reached: {limit} requests a minute."
        raise RateLimitExceeded(message, retry_after_s=math.ceil(wait_ms / 1000))


def _limit(key: ApiKey | None, resources: Resources) -> int | None:
    own = key.requests_per_minute if key else None
    return own if own is not None else resources.settings.api.requests_per_minute


Counted = Depends(count_request)
