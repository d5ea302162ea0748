"""API keys: what one may do, how it is written, and how it is kept.

A key is ``dk_<id>_<secret>``: 64 random bits that name it and 256 that prove it. What is kept is a keyed hash
of the whole text, so neither the store nor a copy of it gives anybody a key. A slow hash would add nothing:
nobody guesses 256 random bits, and every request is checked.
"""

import hashlib
import hmac
import re
import secrets
import time
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.webhooks import Defaults

_WRITTEN: Final = re.compile(r"^dk_([0-9a-f]{16})_[0-9A-Za-z_-]{43}$", re.ASCII)

ScopeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]


class Scope(StrEnum):
    """What a key may be used for; none of them includes another."""

    GENERATE = "generate"
    READ = "read"
    ADMIN = "admin"


class ApiKey(BaseModel):
    """A key as it is kept. Instants are unix seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    digest: str
    created_at: int
    revoked_at: int | None = None
    expires_at: int | None = None
    scopes: frozenset[Scope] = frozenset({Scope.GENERATE, Scope.READ})
    organizations: tuple[ScopeName, ...] = ()
    projects: tuple[ScopeName, ...] = ()
    models: tuple[str, ...] = ()
    requests_per_minute: int | None = Field(None, ge=1)
    max_unfinished: int | None = Field(None, ge=1)
    weight: float | None = Field(None, gt=0, le=1000)
    webhook: Defaults | None = None
    """What its jobs tell whom; None where it has no secret to sign with."""

    def opens(self, text: str, salt: bytes) -> bool:
        """Whether this text is the key, and it still counts; a wrong text takes as long as a right one."""
        right = hmac.compare_digest(self.digest, digest(text, salt))
        return right and self.counts

    @property
    def counts(self) -> bool:
        """Whether it opens anything any more."""
        return self.revoked_at is None and (self.expires_at is None or time.time() < self.expires_at)


def digest(text: str, salt: bytes) -> str:
    """Return the keyed hash under which a key's text is kept."""
    return hmac.new(salt, b"api key:" + text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def id_of(text: str) -> str | None:
    """Return the id that a key's text names; None where the text is no key of ours."""
    written = _WRITTEN.match(text)
    return written[1] if written else None


def new_text() -> str:
    """Return the text of a new key; it is shown once and kept nowhere."""
    return f"dk_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"
