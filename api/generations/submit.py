"""From a validated request to a durable job: the model chosen, the price known, the doorbell rung."""

import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

from structlog.contextvars import bind_contextvars

from api.callers.owner import Caller
from api.generations.hooks import Hooks
from api.generations.request import AUTO, GenerationRequest
from api.generations.ringing import Ringer
from api.models.offer import Offer
from api.moderation import Gate, Words
from api.provided import provided
from api.store.inputs import InputStore
from api.store.jobs import JobStore, Submitted
from api.store.submission import Submission
from api.waiting.delivery import Delivery
from shared import tracing
from shared.catalogue import ModelSpec
from shared.errors import DarkroomError, Refused, StoreUnavailable
from shared.logs import get_logger
from shared.params import MAX_SEED, Params
from shared.settings import JobSettings
from shared.tracing import Kind, Span

log = get_logger(__name__)

LEAST_INPUT_PX: Final = 2 * 1024**2
"""A picture that is edited keeps at least so many of its pixels: no model looks at more than half of them."""


class Inputs(Protocol):
    """The pictures that a request brings."""

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each in pixels, the mask left out."""

    @property
    def masked(self) -> bool:
        """Whether there is a mask."""

    @property
    def digests(self) -> tuple[str, ...]:
        """A hash of each file, the mask's too."""

    async def files(self, most_px: int) -> Mapping[str, Path]:
        """Return where they lie as plain files, by the names under which the job has them.

        Args:
            most_px: those of more pixels are made smaller.

        Raises:
            InvalidImage: one cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Line:
    """A request that is a line of a batch: nobody waits for it, and it is drawn where nothing else waits.

    Attributes:
        job_id: the job that it is to be, always the same one.
        deadline_s: how long there is for it.
        ttl_s: how long its result and record are kept.
    """

    job_id: str
    deadline_s: float
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for pictures that can be read: who wants what, and how it is to be delivered."""

    body: GenerationRequest
    caller: Caller
    delivery: Delivery
    request_id: str
    inputs: Inputs | None = None
    """The pictures that it begins with, where it is an edit."""
    base: str = ""
    """The address of this service, as its caller knows it."""
    line: Line | None = None
    """Which line of a batch it is, where it is one."""

    @property
    def digest(self) -> str:
        """A keyed hash of what is asked for, not of the bytes: key order, spacing and nulls do not count."""
        files = self.inputs.digests if self.inputs is not None else ()
        return self.caller.digest(self.body.canonical(), *files)

    def params(self, spec: ModelSpec, seed: int) -> Params:
        """Return what a model is to draw. ``auto`` is the size of the first picture where there is one."""
        followed = self.body.stream or self.delivery.prefer.hold_s is not None
        params = self.body.params(seed, followed=followed and self.line is None)
        if self.line is not None:
            # Its pictures wait for all the others: not in Redis.
            params = params.model_copy(update={"stored": True})
        if self.inputs is None:
            return params
        edit: dict[str, Any] = {"input_sizes": self.inputs.sizes, "masked": self.inputs.masked}
        if self.body.size == AUTO:
            width, height = spec.sizes.nearest(*self.inputs.sizes[0])
            edit |= {"width": width, "height": height}
        return params.model_copy(update=edit)


@dataclass(frozen=True)
class Submitter:
    """Makes jobs of requests. ``holder`` is this process, as the store knows it."""

    store: JobStore
    inputs: InputStore
    offer: Offer
    gate: Gate
    ringer: Ringer
    settings: JobSettings
    holder: str
    hooks: Hooks

    @asynccontextmanager
    async def remembering_refusals(self, asked: Asked) -> AsyncIterator[None]:
        """Remember a call that is refused: its retry is given no job of another call with the same body."""
        try:
            yield
        except StoreUnavailable:
            raise  # its job may be there: only the reply was lost
        except Refused:
            with suppress(StoreUnavailable):
                await self.store.refuse(asked.caller.owner, asked.digest)
            raise

    async def submit(self, asked: Asked) -> Submitted:
        """Make the job, or find the one that this call repeats.

        The trace goes on from here, in the job's record.

        Raises:
            RequestError: no model can do this, or it may not be drawn.
            Refused: it is not accepted now.
        """
        began_at = time.perf_counter()
        with tracing.current().begin("submit", kind=Kind.PRODUCER) as span:
            submission = await self._submission(asked, span)
            submitted = await self._store(submission, tell=_tells(asked))
            await self._after(submission, submitted, span)
            span.note({"darkroom.job.id": submitted.job_id})
        bind_contextvars(submit_ms=round(1000 * (time.perf_counter() - began_at), 1))
        return submitted

    async def _submission(self, asked: Asked, span: Span) -> Submission:
        body, caller, delivery = asked.body, asked.caller, asked.delivery
        wanted = partial(asked.params, seed=chosen_seed(body.n))
        spec = await self.offer.choose(body.model, wanted, caller.key.models if caller.key else ())
        params = wanted(spec)
        await self.offer.require_memory()
        line = asked.line
        # A batch of thousands tells nobody of each of its lines.
        webhook = await self.hooks.of(caller, body.webhook) if line is None else ""
        await self.gate.admit(Words(body.prompt, body.negative_prompt or ""), body.moderation)
        settings, key = self.settings, delivery.idempotency_key
        job_id = line.job_id if line else secrets.token_hex(16)
        return Submission(
            id=job_id,
            owner=caller.owner,
            lane=caller.lane(body.end_user),
            model=spec.name,
            params=params.written(),
            needs=params.needs(),
            # A whole number of thousandths, so that sums of costs never drift.
            cost=max(1, math.ceil(1000 * spec.cost(params))),
            request_id=asked.request_id,
            trace=span.carrier,
            body_digest="" if line else asked.digest,
            holder=self.holder if delivery.waits else "",
            keep=delivery.keeps,
            max_wait_s=settings.max_wait_s if delivery.prefer.hold_s is None else settings.deadline_s,
            weight=_weight(caller, settings.weights),
            key_id=caller.key.id if caller.key else "",
            max_unfinished=caller.key.max_unfinished if caller.key else None,
            replay_digest=caller.digest(key) if key else "",
            retry=delivery.retry,
            webhook=webhook,
            least_record_s=self.hooks.settings.record_s if webhook else 0,
            input_bytes=await self._put(job_id, asked, params),
            low=line is not None,
            deadline_s=line.deadline_s if line else None,
            result_ttl_s=line.ttl_s if line else None,
            record_ttl_s=line.ttl_s if line else None,
        )

    async def _put(self, job_id: str, asked: Asked, params: Params) -> int:
        """Put the pictures of an edit where the job will have them; return what they take in bytes."""
        if asked.inputs is None:
            return 0
        await self.inputs.require_room(asked.caller.owner)
        most_px = max(LEAST_INPUT_PX, params.width * params.height)
        return await self.inputs.put(job_id, await asked.inputs.files(most_px))

    async def _store(self, submission: Submission, *, tell: bool) -> Submitted:
        try:
            submitted = await self.store.submit(submission, tell=tell)
        except StoreUnavailable:
            raise  # its job may be there: only the reply was lost
        except DarkroomError as error:
            log.warning("job.refused", code=error.code, model=submission.model)
            await self._drop(submission)
            raise
        if not submitted.made:
            await self._drop(submission)
        return submitted

    async def _drop(self, submission: Submission) -> None:
        """Take out the pictures of a job that was not made; where that fails, they expire."""
        if submission.input_bytes:
            with suppress(StoreUnavailable):
                await self.inputs.drop(submission.id)

    async def _after(self, submission: Submission, submitted: Submitted, span: Span) -> None:
        """Ring, and say what became of the submission."""
        bind_contextvars(job_id=submitted.job_id)
        if submitted.ring:
            self.ringer.ring(submission.model, span, needs=submission.needs)
        if submitted.made:
            log.info("job.submitted", model=submission.model, cost=submission.cost)
        else:
            log.info("job.attached", model=submission.model)
            await self._point_to(submitted.job_id, submission.owner, span)

    async def _point_to(self, job_id: str, owner: str, span: Span) -> None:
        """Let the trace of a call that repeats another one point to the trace of its job."""
        if tracing.enabled():
            with suppress(DarkroomError):
                span.link((await self.store.read(job_id, owner)).trace)


def chosen_seed(n: int, below: Callable[[int], int] = secrets.randbelow) -> int:
    """Return a seed for n images that leaves room for the last one's, so that each can be sent back alone."""
    return below(MAX_SEED + 2 - n)


def _tells(asked: Asked) -> bool:
    """Whether the answer begins with how the job stands."""
    return asked.line is None and (asked.body.stream or asked.delivery.prefer.hold_s == 0)


def _weight(caller: Caller, by_organization: Mapping[str, float]) -> float:
    if caller.key and caller.key.weight is not None:
        return caller.key.weight
    return by_organization.get(caller.organization, 1.0)


SubmitterDep = Annotated[Submitter, provided("submitter")]
