"""Makes, rotates and removes the secrets that sign webhooks, in Redis itself."""

import time
from dataclasses import dataclass
from typing import Any

from cli.keyholder import Keyholder
from cli.reaching import reaching
from shared.jobs.keys import Keys
from shared.redis_clients import sync_client
from shared.settings import RedisSettings
from shared.webhooks import OPEN, Defaults, Signing


@dataclass(frozen=True)
class Wanted:
    """What is to be changed of a signer's webhooks: None leaves it, an empty address takes it away."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    rotate: bool = False


class Signers:
    """The secrets of a service, by whose they are: a key's id, or ``open``.

    Args:
        settings: the service's Redis.
        keyholder: notes at a key that it has one.
    """

    def __init__(self, settings: RedisSettings, keyholder: Keyholder) -> None:
        self._client: Any = sync_client(settings)
        self._keys = Keys(settings.prefix)
        self._keyholder = keyholder

    def change(self, signer: str, wanted: Wanted) -> str | None:
        """Change a signer's webhooks; return its secret where that is new.

        Raises:
            ConfigurationError: there is no such key.
            StoreUnavailable: Redis cannot be reached.
        """
        before = Defaults() if signer == OPEN else self._keyholder.get(signer).webhook or Defaults()
        signing = self._signing(signer)
        new = _signing_after(signing, rotate=wanted.rotate)
        if new is not None:
            with reaching():
                # Before the API knows of it: a job that names a webhook has what signs it.
                self._client.hset(self._keys.webhook_secrets, signer, new.model_dump_json(exclude_none=True))
        self._note(signer, _after(before, wanted))
        return None if new is None else new.secret

    def remove(self, signer: str) -> None:
        """Take a signer's secrets and default away. What is still to be delivered for it is given up.

        Raises:
            ConfigurationError: there is no such key.
            StoreUnavailable: Redis cannot be reached.
        """
        self._note(signer, None)
        with reaching():
            self._client.hdel(self._keys.webhook_secrets, signer)

    def _signing(self, signer: str) -> Signing | None:
        with reaching():
            words = self._client.hget(self._keys.webhook_secrets, signer)
        return Signing.model_validate_json(words) if words else None

    def _note(self, signer: str, defaults: Defaults | None) -> None:
        """Let the API know, which can read no secret, whether there is one."""
        if signer != OPEN:
            self._keyholder.set_webhook(signer, defaults)
            return
        with reaching():
            if defaults is None:
                self._client.delete(self._keys.open_webhook)
            else:
                self._client.set(self._keys.open_webhook, 1)


def _signing_after(before: Signing | None, *, rotate: bool) -> Signing | None:
    """Return new secrets; None where the old one stays."""
    now = int(time.time())
    if before is None:
        return Signing.new(now)
    return before.rotated(now) if rotate else None


def _after(before: Defaults, wanted: Wanted) -> Defaults:
    url = before.url if wanted.url is None else wanted.url or None
    return Defaults(url=url, events=before.events if wanted.events is None else wanted.events)
