"""Whose request it is. Keys, organizations, projects and users are kept as keyed hashes only."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request

_SCOPE_NAME: Final = r"^[A-Za-z0-9_.:-]{0,128}$"


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


def _scope(name: str) -> Any:  # noqa: ANN401 - FastAPI's own type
    return Header(alias=name, pattern=_SCOPE_NAME, description="Part of who owns the job.")


async def caller(  # a plain function would be called in a thread
    request: Request,
    authorization: Annotated[str, Header(description="`Bearer` and an API key.")] = "",
    organization: Annotated[str, _scope("OpenAI-Organization")] = "",
    project: Annotated[str, _scope("OpenAI-Project")] = "",
) -> Caller:
    """Read who is calling from the headers."""
    salt = request.app.state.resources.settings.api.owner_salt.get_secret_value().encode()
    scheme, _, key = authorization.partition(" ")
    key = key.strip() if scheme.lower() == "bearer" else ""
    return Caller(_digest(salt, key, organization, project), salt)


CallerDep = Annotated[Caller, Depends(caller)]
