"""What a trace tells of an attempt: how long its job waited, when each stage was, how it ended.

Instants are those of Redis's clock, to which what this process measures is added: so spans of several workers
follow each other as they did, whatever the clocks of their machines say.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from shared import tracing
from shared.tracing import Attributes, Kind
from worker.attempt import Attempt, Lapsed

_NS_A_MS: Final = 1_000_000


class AttemptTrace:
    """The spans of one attempt. Made when it was claimed; but for :meth:`stage`, for its slot alone."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._stages: list[tuple[str, float, float]] = []
        about = _about(attempt.job_id, attempt.number, attempt.request_id)
        parent = tracing.resumed(attempt.trace)
        claimed_ns = attempt.claimed_at * _NS_A_MS
        waited = parent.begin("queue", at_ns=attempt.queued_at * _NS_A_MS, about=about)
        waited.end(claimed_ns)
        self._open = [parent.begin("attempt", kind=Kind.CONSUMER, at_ns=claimed_ns, about=about)]
        self.ids = self._open[0].ids

    def note(self, about: Attributes) -> None:
        """Add to what the attempt is about."""
        self._open[0].note(about)

    def stage(self, name: str, began_at: float, ended_at: float) -> None:
        """Take note of a stage of the engine; instants by ``perf_counter``. May be called on any thread."""
        self._stages.append((name, began_at, ended_at))

    @property
    def stages_s(self) -> dict[str, float]:
        """Seconds of each stage so far, of all images together."""
        seconds: dict[str, float] = {}
        for name, began_at, ended_at in self._stages:
            seconds[name] = seconds.get(name, 0.0) + ended_at - began_at
        return seconds

    @contextmanager
    def during(self, name: str, kind: Kind = Kind.INTERNAL) -> Iterator[None]:
        """Tell what is done meanwhile, within what is being done already."""
        span = self._open[-1].begin(name, kind=kind, at_ns=self._ns(perf_counter()))
        self._open.append(span)
        try:
            yield
        except Exception as error:
            span.fail(type(error).__name__)
            raise
        finally:
            self._open.pop()
            span.end(self._ns(perf_counter()))

    def end(self, outcome: str) -> None:
        """Tell how the attempt ended, and what the engine did until then."""
        attempt = self._open[0]
        for name, began_at, ended_at in self._stages:
            attempt.begin(f"engine.{name}", at_ns=self._ns(began_at)).end(self._ns(ended_at))
        attempt.note({"darkroom.outcome": outcome})
        if outcome != "succeeded":
            attempt.fail(outcome)
        attempt.end(self._ns(perf_counter()))

    def _ns(self, reading: float) -> int:
        """Return the instant of a reading of ``perf_counter``."""
        attempt = self._attempt
        instant = attempt.told_at * _NS_A_MS + int((reading - attempt.heard_at) * 1e9)
        return max(attempt.claimed_at * _NS_A_MS, instant)


def tell_lost(lapsed: Lapsed) -> dict[str, str]:
    """Tell of an attempt whose worker cannot tell of it any more; return the ids of its span."""
    about = {
        **_about(lapsed.job_id, lapsed.number, lapsed.request_id),
        "darkroom.worker": lapsed.worker,
        "darkroom.outcome": "worker_lost",
    }
    span = tracing.resumed(lapsed.trace).begin(
        "attempt", kind=Kind.CONSUMER, at_ns=lapsed.claimed_at * _NS_A_MS, about=about
    )
    span.fail("worker_lost")
    span.end(lapsed.ended_at * _NS_A_MS)
    return span.ids


def _about(job_id: str, number: int, request_id: str) -> Attributes:
    return {"darkroom.job.id": job_id, "darkroom.attempt": number, "darkroom.request.id": request_id}
