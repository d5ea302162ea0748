"""A call for pictures that is held: what it waits for, and how it is answered.

It outlives its request, so it keeps nothing of it but this.
"""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive

from api.delivery import JOBS_PATH, job_now, result_response
from api.errors import json_response
from api.holding import accepted, left, patiently
from api.prefer import Delivery
from api.resources import Resources
from api.watch import CallerGone
from shared.errors import HeldTooLong


@dataclass(frozen=True, slots=True)
class HeldCall:
    """One call of an owner that waits for one job. ``headers`` are those of its answer."""

    resources: Resources
    owner: str
    job_id: str
    delivery: Delivery
    headers: dict[str, str]

    async def until_ended(self, receive: Receive) -> Response:
        """Hold the call until its job has ended. It counts among the job's holders already.

        Raises:
            HeldTooLong: the job takes longer than a call may be held, and goes on.
        """
        holds, held = self.resources.holds, self.delivery.held
        limit_s = self.resources.settings.api.sync_timeout_s
        try:
            ended = await self.resources.watch.ended(self.job_id, limit_s, receive)
        except CallerGone:
            if held:
                holds.gone(self.job_id, self.delivery.on_disconnect)
            return left(self.job_id)
        if not ended:
            if held:
                await holds.keep(self.job_id)
            raise HeldTooLong(job_id=self.job_id)
        if held:
            holds.ended(self.job_id)
        return await self.answer(ended=True)

    async def for_a_while(self, receive: Receive) -> Response:
        """Hold the call as long as its caller prefers."""
        limit_s = min(self.delivery.prefer.hold_s or 0.0, self.resources.settings.api.sync_timeout_s)
        try:
            ended = await self.resources.watch.ended(self.job_id, limit_s, receive)
        except CallerGone:
            return left(self.job_id)
        return await self.answer(ended=ended)

    async def answer(self, *, ended: bool) -> Response:
        """Return the pictures, or the job where it has not ended."""
        store = self.resources.store
        if ended:
            record = await accepted(lambda: store.read(self.job_id, self.owner))
            return await patiently(lambda: result_response(store, record, self.headers))
        job = await accepted(lambda: job_now(store, self.job_id, self.owner))
        headers = {**self.headers, "location": f"{JOBS_PATH}/{self.job_id}", "retry-after": "1"}
        return json_response(job, 202, headers)
