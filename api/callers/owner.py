"""Whose request it is. Keys, organizations, projects and users are kept as keyed hashes only."""

import hmac
from dataclasses import dataclass

from shared.api_keys import ApiKey


@dataclass(frozen=True)
class Caller:
    """The owner that a request acts as: key, organization and project together.

    ``key`` is None where the service needs none.
    """

    owner: str
    salt: bytes
    key: ApiKey | None = None
    organization: str = ""

    def lane(self, user: str) -> str:
        """Return the line this caller's jobs wait in: one for each of its users."""
        return _digest(self.salt, self.owner, user)

    def digest(self, *parts: str) -> str:
        """Return a keyed digest of text that belongs to this caller."""
        return _digest(self.salt, self.owner, *parts)


def _digest(salt: bytes, *parts: str) -> str:
    # Lengths in front, so that no two lists of parts run together into the same text.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(salt, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


def owned_by(salt: bytes, name: str, organization: str, project: str, *, key: ApiKey | None = None) -> Caller:
    """Return the caller of this name: its key's id or, where no key is needed, whatever it sent as one."""
    return Caller(_digest(salt, name, organization, project), salt, key, organization)
