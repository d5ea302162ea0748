"""Who may do what: the key behind a request, and its scopes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

import structlog
from fastapi import Depends, Header

from api.callers.keyring import Keyring, KeyringDep
from api.callers.owner import Caller, owned_by
from shared.api_keys import Scope
from shared.errors import PermissionDenied

_SCOPE_NAME: Final = r"^[A-Za-z0-9_.:-]{0,128}$"

_Organization = Annotated[
    str, Header(alias="OpenAI-Organization", pattern=_SCOPE_NAME, description="Part of who owns the job.")
]
_Project = Annotated[
    str, Header(alias="OpenAI-Project", pattern=_SCOPE_NAME, description="Part of who owns the job.")
]
_Authorization = Annotated[str, Header(description="`Bearer` and an API key.")]


async def caller(  # a plain function would be called in a thread
    keyring: KeyringDep,
    authorization: _Authorization = "",
    organization: _Organization = "",
    project: _Project = "",
) -> Caller:
    """Read who is calling from the headers."""
    return await identify(keyring, Credentials(authorization, organization, project))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says of who makes it: the values of its three headers, empty where they are missing."""

    authorization: str
    organization: str
    project: str


async def identify(keyring: Keyring, given: Credentials) -> Caller:
    """Return who makes a request.

    Raises:
        InvalidApiKey: a key is needed, and there is none or a wrong one.
        PermissionDenied: the key is not for this organization or project.
    """
    scheme, _, text = given.authorization.partition(" ")
    text = text.strip() if scheme.lower() == "bearer" else ""
    key = await keyring.find(text)
    if key is None:
        return owned_by(keyring.salt, text, given.organization, given.project)
    structlog.contextvars.bind_contextvars(key_id=key.id)
    organization = _within("OpenAI-Organization", given.organization, key.organizations)
    project = _within("OpenAI-Project", given.project, key.projects)
    return owned_by(keyring.salt, key.id, organization, project, key=key)


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
