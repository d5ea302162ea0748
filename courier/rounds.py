"""Answering the bell: take a delivery that is due, try it, note how it went, until nothing is due."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from courier.event import event, message
from courier.schedule import pause_s
from courier.sending import Answer, Sender, Undelivered
from courier.store import CourierStore, Due, Outcome
from shared.errors import JobNotFound, LeaseLost, StoreUnavailable
from shared.logs import get_logger
from shared.settings import WebhookSettings
from shared.webhooks import Target

log = get_logger(__name__)

KEEP_S: Final = 30.0
"""While Redis is away, how a try went is kept for so long."""
_NO_SECRET: Final = "there is no secret any more that could sign it"  # noqa: S105 - and this is none
_CRASHED: Final = "this service could not send it"

T = TypeVar("T")


class Rounds:
    """Delivers, in the slots of one courier.

    Args:
        store: which deliveries are due.
        sender: posts them.
        settings: when what failed is tried again.
        public_url: where the service is reached; empty: results are told of by their path.
    """

    def __init__(
        self, store: CourierStore, sender: Sender, settings: WebhookSettings, public_url: str = ""
    ) -> None:
        self.draining = threading.Event()
        self._store = store
        self._sender = sender
        self._settings = settings
        self._public_url = public_url

    def go(self) -> None:
        """Deliver until nothing is due that may be tried now."""
        try:
            while not self.draining.is_set() and (due := self._store.collect()) is not None:
                self._deliver(due)
        except StoreUnavailable:
            # What was taken is due again when its lease has lapsed; the bell rings when the store is back.
            log.warning("deliveries.paused")

    def _deliver(self, due: Due) -> None:
        began = time.monotonic()
        status, outcome, error, pause = self._try(due)
        state = self._settle(due, outcome, status=status, error=error, pause=pause)
        write = log.info if outcome == "delivered" else log.warning
        # The host alone: paths and queries of webhooks are often secrets.
        write(
            "webhook.tried",
            job_id=due.record.id,
            request_id=due.record.request_id,
            host=_host(due.hook.url),
            attempt=due.attempts,
            status=status or None,
            reason=error or None,
            state=state,
            took_s=round(time.monotonic() - began, 3),
        )

    def _try(self, due: Due) -> tuple[int, Outcome, str, float]:
        """Try once; return the status or 0, what to do now, why it was not delivered, and the pause."""
        try:
            return self._sent(due)
        except StoreUnavailable:
            raise
        except Exception:
            # A bug, or what a later version wrote: it holds up no other, and is given up like any other.
            log.exception("delivery.crashed", job_id=due.record.id)
            return 0, "retry", _CRASHED, pause_s(due.attempts, None, self._settings)

    def _sent(self, due: Due) -> tuple[int, Outcome, str, float]:
        signing = self._store.signing(due.hook.signer)
        if signing is None:
            return 0, "never", _NO_SECRET, 0.0
        sent = message(event(due.record, self._public_url), due.at, signing.at(due.at))
        try:
            answer = self._sender.post(Target(due.hook.url), sent.headers, sent.body)
        except Undelivered as failure:
            return 0, "retry", failure.reason, pause_s(due.attempts, None, self._settings)
        outcome: Outcome = "delivered" if answer.taken else "never" if answer.gone else "retry"
        pause = pause_s(due.attempts, answer.retry_after_s, self._settings)
        return answer.status, outcome, _reason(answer), pause

    def _settle(self, due: Due, outcome: Outcome, *, status: int, error: str, pause: float) -> str:
        try:
            return _persist(
                lambda: self._store.settle(due, outcome, status=status, error=error, pause_s=pause)
            )
        except (JobNotFound, LeaseLost):
            return "late"
        except StoreUnavailable:
            return "unknown"


def _host(url: str) -> str:
    try:
        return Target(url).host
    except ValueError:
        return "?"


def _reason(answer: Answer) -> str:
    if answer.taken:
        return ""
    if 300 <= answer.status < 400:  # noqa: PLR2004 - HTTP's own numbers
        return f"the receiver answered {answer.status}, and redirects are not followed"
    return f"the receiver answered {answer.status}"


def _persist(call: Callable[[], T]) -> T:
    """Call until the store answers, or as long as what it is to note is kept."""
    give_up_at, pause = time.monotonic() + KEEP_S, 0.05
    while True:
        try:
            return call()
        except StoreUnavailable:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(pause)
            pause = min(1.0, pause * 2)
