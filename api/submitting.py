"""From a validated request to a durable job: the model chosen, the price known, the doorbell rung."""

import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from structlog.contextvars import bind_contextvars

from api.generation_request import GenerationRequest
from api.moderation import Words
from api.owner import Caller
from api.prefer import Delivery
from api.resources import Resources
from api.store import Submitted
from api.submission import Submission
from shared import tracing
from shared.errors import DarkroomError, Refused, StoreUnavailable
from shared.logs import get_logger
from shared.params import MAX_SEED
from shared.tracing import Kind, Span

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for pictures that can be read: who wants what, and how it is to be delivered."""

    body: GenerationRequest
    caller: Caller
    delivery: Delivery
    request_id: str

    @property
    def digest(self) -> str:
        """A keyed hash of what is asked for, not of the bytes: key order, spacing and nulls do not count."""
        return self.caller.digest(self.body.canonical())


@asynccontextmanager
async def remembering_refusals(asked: Asked, resources: Resources) -> AsyncIterator[None]:
    """Remember a call that is refused: its retry is given no job of another call with the same body."""
    try:
        yield
    except StoreUnavailable:
        raise  # its job may be there: only the reply was lost
    except Refused:
        with suppress(StoreUnavailable):
            await resources.store.refuse(asked.caller.owner, asked.digest)
        raise


async def submit(asked: Asked, resources: Resources) -> Submitted:
    """Make the job, or find the one that this call repeats.

    The trace goes on from here, in the job's record.

    Raises:
        RequestError: no model can do this, or it may not be drawn.
        Refused: it is not accepted now.
    """
    began_at = time.perf_counter()
    with tracing.current().begin("submit", kind=Kind.PRODUCER) as span:
        submitted = await _submit(asked, resources, span)
        span.note({"darkroom.job.id": submitted.job_id})
    bind_contextvars(submit_ms=round(1000 * (time.perf_counter() - began_at), 1))
    return submitted


async def _submit(asked: Asked, resources: Resources, span: Span) -> Submitted:
    body, caller, delivery = asked.body, asked.caller, asked.delivery
    followed = body.stream or delivery.prefer.hold_s is not None
    params = body.params(chosen_seed(body.n), followed=followed)
    spec = await resources.offer.choose(body.model, params, caller.key.models if caller.key else ())
    await resources.offer.require_memory()
    await resources.gate.admit(Words(body.prompt, body.negative_prompt or ""), body.moderation)
    settings = resources.settings.jobs
    key = delivery.idempotency_key
    submission = Submission(
        id=secrets.token_hex(16),
        owner=caller.owner,
        lane=caller.lane(body.end_user),
        model=spec.name,
        params=params.written(),
        needs=params.needs(),
        # A whole number of thousandths, so that sums of costs never drift.
        cost=max(1, math.ceil(1000 * spec.cost(params.width, params.height, params.n, params.quality))),
        request_id=asked.request_id,
        trace=span.carrier,
        body_digest=asked.digest,
        holder=resources.holds.holder if delivery.waits else "",
        keep=delivery.keeps,
        max_wait_s=settings.max_wait_s if delivery.prefer.hold_s is None else settings.deadline_s,
        weight=_weight(caller, settings.weights),
        key_id=caller.key.id if caller.key else "",
        max_unfinished=caller.key.max_unfinished if caller.key else None,
        replay_digest=caller.digest(key) if key else "",
        retry=delivery.retry,
    )
    submitted = await _store(resources, submission, tell=body.stream or delivery.prefer.hold_s == 0)
    bind_contextvars(job_id=submitted.job_id)
    if submitted.ring:
        resources.ringer.ring(submission.model, span, needs=submission.needs)
    if submitted.made:
        log.info("job.submitted", model=submission.model, cost=submission.cost)
    else:
        log.info("job.attached", model=submission.model)
        await _point_to(submitted.job_id, caller, resources, span)
    return submitted


def chosen_seed(n: int, below: Callable[[int], int] = secrets.randbelow) -> int:
    """Return a seed for n images that leaves room for the last one's, so that each can be sent back alone."""
    return below(MAX_SEED + 2 - n)


async def _point_to(job_id: str, caller: Caller, resources: Resources, span: Span) -> None:
    """Let the trace of a call that repeats another one point to the trace of its job."""
    if tracing.enabled():
        with suppress(DarkroomError):
            span.link((await resources.store.read(job_id, caller.owner)).trace)


def _weight(caller: Caller, by_organization: Mapping[str, float]) -> float:
    if caller.key and caller.key.weight is not None:
        return caller.key.weight
    return by_organization.get(caller.organization, 1.0)


async def _store(resources: Resources, submission: Submission, *, tell: bool) -> Submitted:
    try:
        return await resources.store.submit(submission, tell=tell)
    except Refused as refusal:
        log.warning("job.refused", code=refusal.code, model=submission.model)
        raise
