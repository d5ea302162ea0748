"""The courier's side of the job store: which deliveries are due, and how each went. Blocking.

A connection error comes out as ``StoreUnavailable``; every call is safe to repeat.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

import redis

from shared.jobs.keys import Keys
from shared.jobs.record import FIELDS, JobRecord, parse
from shared.script_runner import ScriptRunner, reaching
from shared.settings import WebhookSettings
from shared.webhooks import COURIER_LIVE_S, Hook, Signing

LOOK_AGAIN_S: Final = 30.0
"""How often an unfinished job is looked at, which a version without webhooks may have ended."""
_MOST_LOOKED_AT: Final = 200

Outcome = Literal["delivered", "retry", "never"]


@dataclass(frozen=True)
class Due:
    """A delivery to be tried: the job, the number of this try, and when it is, in unix seconds."""

    record: JobRecord
    hook: Hook
    token: str
    attempts: int
    at: float


class CourierStore:
    """Deliveries as a courier sees them."""

    def __init__(self, client: redis.Redis, settings: WebhookSettings, prefix: str) -> None:
        self._client: Any = client
        self._settings = settings
        self.keys = Keys(prefix)
        self._run = ScriptRunner(client, prefix).run

    def dispatch(self, courier: str) -> int:
        """Say that this courier is there; return how many deliveries are due.

        Raises:
            StoreUnavailable: Redis is away.
        """
        (due,) = self._run(
            "dispatch",
            courier=courier,
            live_ms=int(COURIER_LIVE_S * 1000),
            look_ms=int(LOOK_AGAIN_S * 1000),
            most=_MOST_LOOKED_AT,
        )
        return int(due)

    def collect(self) -> Due | None:
        """Take a delivery that is due, for as long as a try takes; None where there is none.

        Raises:
            StoreUnavailable: Redis is away.
        """
        token = secrets.token_hex(8)
        found = self._run(
            "collect",
            token=token,
            lease_ms=int(self._settings.lease_s * 1000),
            most_of_an_owner=self._settings.max_concurrency_per_owner,
        )
        if not found:
            return None
        job_id, attempts, now_ms = found
        name = job_id.decode()
        values = reaching(lambda: self._client.hmget(self.keys.job(name), FIELDS))
        record = parse(name, dict(zip(FIELDS, values, strict=True)))
        if record is None or record.webhook is None:
            return None  # it expired in between
        return Due(record, Hook.model_validate(record.webhook), token, int(attempts), int(now_ms) / 1000)

    def signing(self, signer: str) -> Signing | None:
        """Return what signs for a key; None where it has no secret any more.

        Raises:
            StoreUnavailable: Redis is away.
        """
        words = reaching(lambda: self._client.hget(self.keys.webhook_secrets, signer))
        return Signing.model_validate_json(words) if words else None

    def settle(
        self, due: Due, outcome: Outcome, *, status: int = 0, error: str = "", pause_s: float = 0
    ) -> str:
        """Note how a try went; return the delivery's state.

        Args:
            due: the try.
            outcome: whether it is tried again.
            status: of the answer; 0: there was none.
            error: why it was not delivered.
            pause_s: before the next try.

        Raises:
            JobNotFound: the job is gone.
            LeaseLost: another courier has it.
            StoreUnavailable: Redis is away.
        """
        (state,) = self._run(
            "settle",
            id=due.record.id,
            token=due.token,
            outcome=outcome,
            status=status,
            error=error,
            pause_ms=int(pause_s * 1000),
            give_up_ms=int(self._settings.give_up_s * 1000),
        )
        return bytes(state).decode()
