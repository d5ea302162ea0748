"""Answering the doorbell: claim, draw, deliver, until there is nothing left to claim.

One thread of Celery's pool is one slot. A slot claims one job at a time and goes on claiming without another
ring, so a worker is never idle while its queue is not empty.
"""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

import pybase64
from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from shared import tracing
from shared.errors import (
    AttemptCancelled,
    DarkroomError,
    DeviceBroken,
    GenerationFailed,
    JobNotFound,
    LeaseLost,
    MadeWay,
    NoObjectStore,
    StoreUnavailable,
)
from shared.jobs.scripts import DraftIncomplete
from shared.logs import get_logger
from shared.params import PARAMS_VERSION, Params
from shared.settings import WorkerSettings
from shared.tracing import Attributes, Kind
from shared.usage import usage
from worker.claiming import Claims
from worker.engine import Engine, ImageRequest, ImageResult
from worker.ledger import HANDED_BACK, MADE_WAY, Held, Ledger
from worker.metrics import observe_attempt
from worker.planning import Planner
from worker.store import Again, WorkerStore
from worker.uploads import MEDIA_TYPES, Uploads

log = get_logger(__name__)

T = TypeVar("T")


@dataclass
class Course:
    """What an attempt has come to so far: its steps, and the seconds of each stage that is known."""

    steps: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)

    @property
    def total_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started_at


class Runner:
    """Runs attempts in the slots of one worker."""

    def __init__(
        self,
        claims: Claims,
        store: WorkerStore,
        engine: Engine,
        planner: Planner,
        ledger: Ledger,
        settings: WorkerSettings,
    ) -> None:
        self.name = claims.name
        self.draining = claims.draining
        self.uploads: Uploads | None = None
        """Where images go that are to lie in the store of results; None: this worker knows none."""
        self._claims = claims
        self._store = store
        self._engine = engine
        self._planner = planner
        self._ledger = ledger
        self._settings = settings

    def answer(self, model: str) -> None:
        """Run queued jobs of ``model`` until none is left, or there is no room for more."""
        if model not in self._planner.models:
            log.warning("ring.unknown_model", model=model)
            return
        while (taken := self._take(model)) is not None:
            held, its_model = taken
            try:
                self._run(held, its_model)
            finally:
                self._claims.release(held)

    def _take(self, model: str) -> tuple[Held, str] | None:
        for each in self._claims.turns(model):
            held = self._claim(each)
            if held is not None:
                return held, each
        return None

    def _claim(self, model: str) -> Held | None:
        """Take a job. Where a reply is lost, the same claim is repeated, so that what it brought is not."""
        seed = secrets.token_hex(8)
        if self._claims.are_closed:
            return None
        try:
            return self._persist(lambda: self._claims.take(model, seed))
        except StoreUnavailable:
            # The reaper rings again when the store is back.
            log.warning("claim.failed", model=model)
            return None

    def _run(self, held: Held, model: str) -> None:
        """Run an attempt, whatever comes of it, and say so: one line in the log, one span in the trace."""
        attempt, course = held.attempt, Course()
        ids = {"job_id": attempt.job_id, "attempt": attempt.number, "request_id": attempt.request_id}
        with bound_contextvars(**ids, **held.trace.ids):
            outcome = self._outcome(held, model, course)
            held.trace.end(outcome)
            observe_attempt(model, outcome, course.stages, course.steps)
            write = log.info if outcome == "succeeded" else log.warning
            stages = course.stages or held.trace.stages_s
            write(
                "attempt.ended",
                model=model,
                outcome=outcome,
                waited_s=attempt.waited_s,
                total_s=round(course.total_s, 4),
                **{f"{stage}_s": round(seconds, 4) for stage, seconds in stages.items()},
            )

    def _outcome(self, held: Held, model: str, course: Course) -> str:
        """Run an attempt and return how it ended; every way in which it can is handled here."""
        outcome = "succeeded"
        try:
            params = Params.model_validate_json(held.attempt.params)
            self._require_uploads(params)
            inputs = self._inputs(held, params)
            request = self._planner.plan(params, model, inputs, low=held.attempt.low)
            held.trace.note(_about(request, self.name))
            course.steps = request.steps
            result = self._engine.submit(request, held).result()
            course.stages = dict(result.timings_s)
            warnings = (*result.warnings, *self._planner.warnings(params, model))
            course.stages["deliver"] = self._deliver(held, params, replace(result, warnings=warnings))
        except AttemptCancelled as error:
            outcome = self._stop(held, error)
        except LeaseLost:
            outcome = "late"
        except DeviceBroken as error:
            self._give_up(held, error)
        except ValidationError as error:
            outcome = self._unreadable(held, error)
        except StoreUnavailable:
            outcome = "undelivered"
        except DarkroomError as error:
            outcome = self._end(held, error)
        except Exception as error:  # noqa: BLE001 - a bug must fail its own job and no other
            outcome = self._crashed(held, error)
        return outcome

    def _inputs(self, held: Held, params: Params) -> dict[str, bytes]:
        """Return the files of the pictures that an edit begins with."""
        if not params.edits:
            return {}
        return self._persist(lambda: self._store.inputs(held.attempt))

    def _unreadable(self, held: Held, error: ValidationError) -> str:
        # Where, and not what: the error itself would quote the caller.
        fields = [each["loc"] for each in error.errors()]
        if () in fields:
            log.error("params.unreadable", fields=fields)
            return self._end(held, GenerationFailed("The job's parameters cannot be read."))
        # Whoever wrote them is newer than this worker. With what it needs one higher, no worker that reads as
        # little as this one ever sees the job again.
        log.warning("params.newer", fields=fields, reads=PARAMS_VERSION)
        return self._end(held, AttemptCancelled("This worker is too old to read it."), again="newer")

    def _crashed(self, held: Held, error: Exception) -> str:
        log.error("attempt.crashed", exc_info=error)
        return self._end(held, GenerationFailed())

    def _give_up(self, held: Held, error: DeviceBroken) -> NoReturn:
        """End the process: a broken CUDA context cannot be mended. The leases of the others lapse."""
        self._end(held, error, again="retry")
        log.critical("device.broken", reason=error.message)
        held.trace.end("device_broken")
        tracing.close()
        os._exit(1)

    def _deliver(self, held: Held, params: Params, result: ImageResult) -> float:
        """Make the images the job's result; return the seconds it took.

        Raises:
            LeaseLost: the job is no longer this attempt's.
            StoreUnavailable: Redis stayed away longer than results are kept.
            UploadFailed: the store of results did.
            AttemptCancelled: the attempt was told to stop while it did.
        """
        started = time.monotonic()
        counted = usage(params, result.prompt_tokens)
        device_s = self._ledger.share_s(held)
        with held.trace.during("deliver"):
            names = self._upload(held, params, result.images)
            draft = [name.encode() for name in names] or [pybase64.b64encode(each) for each in result.images]

            def deliver() -> None:
                self._store.save_draft(held.attempt, draft)
                with held.trace.during("finish", Kind.CLIENT):
                    error_ms = self._store.finish(
                        held.attempt,
                        images=len(draft),
                        objects=names,
                        usage=counted,
                        size_bytes=sum(map(len, draft)),
                        device_s=device_s,
                        warnings=result.warnings,
                    )
                if error_ms >= 0:
                    log.info("eta.missed_by", error_s=error_ms / 1000)

            try:
                self._persist(deliver)
            except JobNotFound as error:
                raise LeaseLost from error
        return time.monotonic() - started

    def _upload(self, held: Held, params: Params, images: Sequence[bytes]) -> list[str]:
        """Write the images to the store of results, where they are to lie there; return their names."""
        if not params.stored or self.uploads is None:
            return []
        uploads = self.uploads
        with held.trace.during("upload", Kind.CLIENT):
            names = self._persist(lambda: uploads.names(held.attempt, len(images), params.output_format))
            uploads.write(held, names, images, MEDIA_TYPES[params.output_format])
        return names

    def _require_uploads(self, params: Params) -> None:
        """Check that the images will have a place, before they are drawn.

        Raises:
            NoObjectStore: they are to lie in the store of results, and this worker knows none.
        """
        if params.stored and self.uploads is None:
            log.error("upload.impossible", missing="DARKROOM_RESULTS__URLS")
            raise NoObjectStore

    def _stop(self, held: Held, error: AttemptCancelled) -> str:
        """End an attempt that was told to stop, or made way in the engine; return the outcome."""
        if held.stop_reason == HANDED_BACK:
            return self._end(held, AttemptCancelled("The worker stopped."), again="free")
        if held.stop_reason == MADE_WAY or isinstance(error, MadeWay):
            return self._end(held, MadeWay(), again="free")
        return held.stop_reason or "stopped"

    def _end(self, held: Held, error: DarkroomError, *, again: Again | None = None) -> str:
        """Report an attempt that ended without a picture; return the outcome."""
        mode: Again = again or ("retry" if error.retryable else "never")

        def fail() -> str:
            with held.trace.during("fail", Kind.CLIENT):
                return self._store.fail(held.attempt, code=error.code, message=error.message, again=mode)

        try:
            status = self._persist(fail)
        except (LeaseLost, JobNotFound):
            return "late"
        except StoreUnavailable:
            return "undelivered"
        ends = {"free": "handed_back", "newer": "not_readable"}
        return ends.get(mode) or ("requeued" if status == "queued" else error.code)

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


def _about(request: ImageRequest, worker: str) -> Attributes:
    """Return what a trace says of an attempt: how much was asked for, never what."""
    return {
        "darkroom.worker": worker,
        "darkroom.model": request.model,
        "darkroom.steps": request.steps,
        "darkroom.width_px": request.width,
        "darkroom.height_px": request.height,
        "darkroom.images": len(request.seeds),
    }
