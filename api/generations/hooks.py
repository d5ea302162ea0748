"""Who is told how a job ended: what the request says, or its caller's key, and whose secret signs it."""

from dataclasses import dataclass
from typing import Final

from api.callers.owner import Caller
from api.store.accounts import AccountStore
from shared.errors import UnsupportedParameter, UnsupportedValue, WebhookSecretMissing
from shared.networks import leads_inside
from shared.settings import WebhookSettings
from shared.webhooks import OPEN, Hook, Target, Webhook

_THIS_MACHINE: Final = ("localhost", ".localhost")
_FOR_ALL: Final = "--open"
_INSIDE: Final = (
    "Nothing is sent to addresses that lead inside, unless DARKROOM_WEBHOOKS__ALLOW_PRIVATE_ADDRESSES is on."
)


@dataclass(frozen=True)
class Hooks:
    """Decides on the webhooks of jobs.

    Args:
        accounts: whether callers without a key have a secret.
        settings: whether there are webhooks, and where they may go.
    """

    accounts: AccountStore
    settings: WebhookSettings

    async def of(self, caller: Caller, wanted: Webhook | None) -> str:
        """Return the webhook of a job as its record has it; empty where nobody is told.

        Raises:
            UnsupportedParameter: this service sends none.
            UnsupportedValue: it plainly leads inside.
            WebhookSecretMissing: there is nothing that could sign it.
        """
        webhook = wanted or _default(caller)
        if webhook is None or not (wanted or self.settings.enabled):
            return ""
        if not self.settings.enabled:
            message = "This service sends no webhooks."
            raise UnsupportedParameter(message, param="webhook")
        self._require_outside(webhook)
        signer = await self._signer(caller)
        return Hook(url=webhook.url, events=webhook.events, signer=signer).model_dump_json()

    def _require_outside(self, webhook: Webhook) -> None:
        """Refuse at once what the address alone tells; the courier looks at what it connects to."""
        host = Target(webhook.url).host.rstrip(".").lower()
        inside = host.endswith(_THIS_MACHINE) or (_in_numbers(host) and leads_inside(host))
        if inside and not self.settings.allow_private_addresses:
            raise UnsupportedValue(_INSIDE, param="webhook")

    async def _signer(self, caller: Caller) -> str:
        if caller.key is not None:
            if caller.key.webhook is None:
                raise _missing(caller.key.id)
            return caller.key.id
        if not await self.accounts.signs_for_all():
            raise _missing(_FOR_ALL)
        return OPEN


def _default(caller: Caller) -> Webhook | None:
    """Return the webhook of the caller's key, for jobs that name none."""
    defaults = caller.key.webhook if caller.key else None
    if defaults is None or defaults.url is None:
        return None
    return Webhook.model_validate({"url": defaults.url, "events": defaults.events})


def _in_numbers(host: str) -> bool:
    return host.replace(".", "").isdigit()


def _missing(whose: str) -> WebhookSecretMissing:
    message = f"There is no secret to sign webhooks with: `darkroom keys webhook {whose}` makes one."
    return WebhookSecretMissing(message, param="webhook")
