"""Calls that are held: what each waits for, and how it is answered.

They outlive their requests, so they keep nothing of them but this.
"""

from dataclasses import dataclass
from typing import ClassVar

from starlette.responses import Response

from api.delivery import JOBS_PATH, job_headers, job_object, job_response, result_response
from api.errors import json_response
from api.holding import accepted, left, patiently
from api.prefer import Delivery
from api.resources import Resources
from api.store import Place
from api.watch import State, Woken
from shared.errors import DarkroomError, HeldTooLong
from shared.jobs.record import JobRecord


@dataclass(frozen=True, slots=True)
class HeldCall:
    """One call of an owner that waits for one job. ``headers`` are those of its answer."""

    seen: ClassVar[None] = None

    resources: Resources
    owner: str
    job_id: str
    delivery: Delivery
    headers: dict[str, str]
    fresh: bool

    @property
    def limit_s(self) -> float:
        """The longest wait: ours, or what the caller prefers."""
        longest_s = self.resources.settings.api.sync_timeout_s
        preferred_s = self.delivery.prefer.hold_s
        return longest_s if preferred_s is None else min(preferred_s, longest_s)

    async def answer(self, why: Woken) -> Response:
        """Return the pictures, or the job where its caller prefers that to waiting longer.

        Raises:
            HeldTooLong: the job takes longer than a call may be held, and goes on.
        """
        if why is Woken.CALLER_GONE:
            self.left()
            return left(self.job_id)
        if why is Woken.JOB:
            return await self._ended()
        await self.resources.holds.keep(self.job_id)
        if self.delivery.prefer.hold_s is None:
            raise HeldTooLong(job_id=self.job_id)
        return await self.accepted()

    async def _ended(self) -> Response:
        store, detailed = self.resources.store, self.resources.settings.api.detailed_responses
        try:
            record, images = await accepted(lambda: store.read_with_result(self.job_id, self.owner))
        except DarkroomError:
            self.left()
            raise
        return result_response(record, images, detailed=detailed, headers=self.headers, recipient=self)

    async def answered(self) -> None:
        """Its caller has the pictures, but for the last byte."""
        await self.resources.holds.answered(self.job_id)

    def left(self) -> None:
        """Its caller has gone, or gets no picture."""
        self.resources.holds.gone(self.job_id, self.delivery)

    async def accepted(self, now: tuple[JobRecord, Place | None] | None = None) -> Response:
        """Return the job as it is now: a 202. ``now`` is that where it is known."""
        store = self.resources.store
        if now is None:
            now = await accepted(lambda: store.read_placed(self.job_id, self.owner))
        location = {"location": f"{JOBS_PATH}/{self.job_id}", "retry-after": "1"}
        return json_response(job_object(*now), 202, {**self.headers, **job_headers(*now), **location})


@dataclass(frozen=True, slots=True)
class ChangedCall:
    """A call that waits until a job has left the state of this record."""

    fresh: ClassVar[bool] = False

    resources: Resources
    record: JobRecord
    limit_s: float
    headers: dict[str, str]

    @property
    def job_id(self) -> str:
        """The job."""
        return self.record.id

    @property
    def seen(self) -> State:
        """The state that it is to leave."""
        return self.record.status, self.record.attempt

    async def answer(self, why: Woken) -> Response:
        """Return the job as it is now."""
        if why is Woken.CALLER_GONE:
            return left(self.job_id)
        store = self.resources.store
        now = await patiently(lambda: store.read_placed(self.job_id, self.record.owner))
        return job_response(*now, self.headers)
