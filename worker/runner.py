"""Answering the doorbell: claim, draw, deliver, until there is nothing left to claim.

One thread of Celery's pool is one slot. A slot claims one job at a time and goes on claiming without another
ring, so a worker is never idle while its queue is not empty.
"""

import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

import pybase64
from pydantic import ValidationError

from shared.catalogue import ModelSpec
from shared.errors import (
    AttemptCancelled,
    DarkroomError,
    DeviceBroken,
    GenerationFailed,
    JobNotFound,
    LeaseLost,
    StoreUnavailable,
)
from shared.jobs.scripts import DraftIncomplete
from shared.logs import get_logger
from shared.params import Params
from shared.settings import WorkerSettings
from shared.usage import usage
from worker.engine import Engine, ImageResult
from worker.ledger import HANDED_BACK, Held, Ledger
from worker.metrics import observe_attempt
from worker.planning import image_request
from worker.store import Attempt, WorkerStore

log = get_logger(__name__)

T = TypeVar("T")
Again = Literal["never", "retry", "free"]


class Runner:
    """Runs attempts in the slots of one worker."""

    def __init__(
        self,
        name: str,
        store: WorkerStore,
        engine: Engine,
        specs: Mapping[str, ModelSpec],
        ledger: Ledger,
        settings: WorkerSettings,
    ) -> None:
        self.name = name
        self.draining = threading.Event()
        self._store = store
        self._engine = engine
        self._specs = specs
        self._ledger = ledger
        self._settings = settings
        self._claiming = threading.Lock()
        self._alone: Held | None = None
        self._held_back = False

    def answer(self, model: str) -> None:
        """Run queued jobs of ``model`` until none is left."""
        if model not in self._specs:
            log.warning("ring.unknown_model", model=model)
            return
        while (held := self._claim(model)) is not None:
            try:
                self._run(held, self._specs[model])
            finally:
                self._release(held)

    def _claim(self, model: str) -> Held | None:
        """Take a job. Where a reply is lost, the same claim is repeated, so that what it brought is not."""
        seed = secrets.token_hex(8)
        if self._closed:
            return None
        try:
            return self._persist(lambda: self._take(model, seed))
        except StoreUnavailable:
            # The reaper rings again when the store is back.
            log.warning("claim.failed", model=model)
            return None

    @property
    def _closed(self) -> bool:
        """Whether nothing more may be taken now."""
        return bool(self.draining.is_set() or self._alone or (self._held_back and len(self._ledger)))

    def _take(self, model: str, seed: str) -> Held | None:
        with self._claiming:
            # Asked for nothing, a claim still finds what an earlier try with this seed brought.
            want = 0 if self._closed else 1
            claim = self._store.claim(model, self.name, want=want, alone=len(self._ledger) == 0, seed=seed)
            self._held_back = claim.held_back if want else self._held_back
            if not claim.attempts:
                return None
            held = self._ledger.add(claim.attempts[0])
            if held.attempt.losses:
                self._alone = held
            return held

    def _release(self, held: Held) -> None:
        with self._claiming:
            self._ledger.remove(held.attempt)
            if self._alone is held:
                self._alone = None

    def _run(self, held: Held, spec: ModelSpec) -> None:
        attempt, started = held.attempt, time.monotonic()
        bound = log.bind(job_id=attempt.job_id, attempt=attempt.number, request_id=attempt.request_id)
        stages: dict[str, float] = {}
        outcome, steps = "succeeded", 0
        try:
            params = Params.model_validate_json(attempt.params)
            request = image_request(params, spec)
            steps = request.steps
            result = self._engine.submit(request, held).result()
            stages = dict(result.timings_s)
            stages["deliver"] = self._deliver(held, params, result)
        except AttemptCancelled:
            outcome = self._stop(held)
        except LeaseLost:
            outcome = "late"
        except DeviceBroken as error:
            self._end(attempt, error, again="retry")
            bound.critical("device.broken", reason=error.message)
            # A broken CUDA context cannot be mended; the leases of the others lapse and they move on.
            os._exit(1)
        except ValidationError as error:
            outcome = self._end(attempt, GenerationFailed("The job's parameters cannot be read."))
            bound.error("params.unreadable", fields=[e["loc"] for e in error.errors()])
        except StoreUnavailable:
            outcome = "undelivered"
        except DarkroomError as error:
            outcome = self._end(attempt, error)
        except Exception as error:  # noqa: BLE001 - a bug must fail its own job and no other
            outcome = self._end(attempt, GenerationFailed())
            bound.error("attempt.crashed", exc_info=error)
        write = bound.info if outcome == "succeeded" else bound.warning
        observe_attempt(spec.name, outcome, stages, steps)
        seconds = {f"{stage}_s": round(value, 4) for stage, value in stages.items()}
        write("attempt.ended", outcome=outcome, total_s=round(time.monotonic() - started, 4), **seconds)

    def _deliver(self, held: Held, params: Params, result: ImageResult) -> float:
        """Make the images the job's result; return the seconds it took.

        Raises:
            LeaseLost: the job is no longer this attempt's.
            StoreUnavailable: Redis stayed away longer than results are kept.
        """
        started = time.monotonic()
        encoded = [pybase64.b64encode(image) for image in result.images]
        counted = usage(params, result.prompt_tokens)
        device_s = self._ledger.share_s(held)

        def deliver() -> None:
            self._store.save_draft(held.attempt, encoded)
            size_bytes = sum(map(len, encoded))
            error_ms = self._store.finish(
                held.attempt, images=len(encoded), usage=counted, size_bytes=size_bytes, device_s=device_s
            )
            if error_ms >= 0:
                log.info("eta.missed_by", job_id=held.attempt.job_id, error_s=error_ms / 1000)

        try:
            self._persist(deliver)
        except JobNotFound as error:
            raise LeaseLost from error
        return time.monotonic() - started

    def _stop(self, held: Held) -> str:
        """End an attempt that was told to stop; return the outcome."""
        if held.stop_reason != HANDED_BACK:
            return held.stop_reason or "stopped"
        return self._end(held.attempt, AttemptCancelled("The worker stopped."), again="free")

    def _end(self, attempt: Attempt, error: DarkroomError, *, again: Again | None = None) -> str:
        """Report an attempt that ended without a picture; return the outcome."""
        mode: Again = again or ("retry" if error.retryable else "never")
        try:
            status = self._persist(
                lambda: self._store.fail(attempt, code=error.code, message=error.message, again=mode)
            )
        except (LeaseLost, JobNotFound):
            return "late"
        except StoreUnavailable:
            return "undelivered"
        return "handed_back" if again == "free" else ("requeued" if status == "queued" else error.code)

    def _persist(self, call: Callable[[], T]) -> T:
        """Call until the store answers, or as long as results are kept."""
        give_up_at = time.monotonic() + self._settings.keep_result_s
        pause_s = 0.05
        while True:
            try:
                return call()
            except (StoreUnavailable, DraftIncomplete):
                if time.monotonic() >= give_up_at:
                    raise
                time.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
