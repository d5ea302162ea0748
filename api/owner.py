"""Whose request it is. Keys, organizations, projects and users are kept as keyed hashes only."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request

from shared.errors import InvalidField

_SCOPE_NAME: Final = re.compile(r"^[\w.:-]{1,128}$", re.ASCII)


@dataclass(frozen=True)
class Caller:
    """The owner that a request acts as: key, organization and project together."""

    owner: str
    salt: bytes

    def lane(self, user: str) -> str:
        """Return the line this caller's jobs wait in: one for each of its users."""
        return _digest(self.salt, self.owner, user)

    def digest(self, *parts: str) -> str:
        """Return a keyed digest of text that belongs to this caller."""
        return _digest(self.salt, self.owner, *parts)


def _digest(salt: bytes, *parts: str) -> str:
    # Lengths in front, so that no two lists of parts run together into the same text.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hmac.new(salt, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def _scope(name: str, value: str | None) -> str:
    if value is None or value == "":
        return ""
    if not _SCOPE_NAME.match(value):
        message = f"{name} must be 1 to 128 letters, digits, '.', ':', '_' or '-'."
        raise InvalidField(message, param=name)
    return value


def caller(
    request: Request,
    authorization: Annotated[str | None, Header(description="`Bearer` and an API key.")] = None,
    openai_organization: Annotated[str | None, Header(description="Part of who owns the job.")] = None,
    openai_project: Annotated[str | None, Header(description="Part of who owns the job.")] = None,
) -> Caller:
    """Read who is calling from the headers.

    Raises:
        InvalidField: a header is not what it may be.
    """
    salt = request.app.state.resources.settings.api.owner_salt.get_secret_value().encode()
    scheme, _, key = (authorization or "").partition(" ")
    key = key.strip() if scheme.lower() == "bearer" else ""
    organization = _scope("OpenAI-Organization", openai_organization)
    project = _scope("OpenAI-Project", openai_project)
    return Caller(_digest(salt, key, organization, project), salt)


CallerDep = Annotated[Caller, Depends(caller)]
