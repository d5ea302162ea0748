"""Callers who wait, as the store sees them: a job lives as long as somebody wants it.

While a call is held, this process says every few seconds that its caller is still there. When the last one
has gone, the job is cancelled after a grace in which a retry may attach, here or at another process. A
process that dies stops saying so, and the reaper does the rest. A job whose picture has reached a caller is
given to no retry.
"""

import asyncio
import secrets
from collections import Counter
from typing import Final

from api.cancelling import cancel_all
from api.store.jobs import JobStore
from api.waiting.delivery import Delivery, OnDisconnect
from shared.errors import JobNotFound, StoreUnavailable
from shared.logs import get_logger
from shared.settings import JobSettings

log = get_logger(__name__)

_CHUNK: Final = 1000
_NEVER_MS: Final = -1


class Presence:
    """The calls that this process holds, counted by job."""

    def __init__(self, store: JobStore, settings: JobSettings) -> None:
        self.holder = secrets.token_hex(8)
        self._store = store
        self._settings = settings
        self._calls: Counter[str] = Counter()
        self._unsaid: dict[str, bool] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._releasing: set[asyncio.Task[None]] = set()

    @property
    def jobs(self) -> int:
        """How many jobs have a caller here."""
        return len(self._calls)

    def start(self) -> None:
        """Start renewing."""
        self._renewing = asyncio.create_task(self._renew_forever())

    async def close(self) -> None:
        """Stop renewing; what is still held lapses after its grace, unless a retry comes."""
        if self._renewing is not None:
            await cancel_all([self._renewing])
        await asyncio.gather(*self._releasing, return_exceptions=True)

    def enter(self, job_id: str) -> None:
        """A call waits for this job. Its submission has told the store already."""
        self._calls[job_id] += 1

    async def answered(self, job_id: str) -> None:
        """A call has its picture but for the last byte, which is sent when this has been said.

        Where the store is away the caller gets it all the same, and this is said when the store is back.
        """
        last = self._leave(job_id)
        try:
            await self._answer(job_id, last=last)
        except StoreUnavailable:
            self._unsaid[job_id] = last or self._unsaid.get(job_id, False)

    def gone(self, job_id: str, delivery: Delivery) -> None:
        """The caller has hung up, or has no picture for another reason; returns at once."""
        if self._leave(job_id):
            self._release(job_id, self._grace_ms(delivery))

    async def keep(self, job_id: str) -> None:
        """The call ends before its job, which goes on; the caller is told which it is."""
        self._leave(job_id)
        await self._store.release(job_id, self.holder, grace_ms=_NEVER_MS, told=True)

    def _grace_ms(self, delivery: Delivery) -> int:
        if delivery.keeps:
            return _NEVER_MS
        at_once = delivery.on_disconnect is OnDisconnect.CANCEL
        return 0 if at_once else int(self._settings.abandon_grace_s * 1000)

    def _leave(self, job_id: str) -> bool:
        """Whether this was the last call for the job in this process."""
        self._calls[job_id] -= 1
        if self._calls[job_id] > 0:
            return False
        del self._calls[job_id]
        return True

    async def _answer(self, job_id: str, *, last: bool) -> None:
        try:
            await self._store.answer(job_id, self.holder, last=last)
        except JobNotFound:
            log.warning("hold.job_is_gone", job_id=job_id)

    def _release(self, job_id: str, grace_ms: int) -> None:
        async def release() -> None:
            try:
                await self._store.release(job_id, self.holder, grace_ms=grace_ms)
            except (StoreUnavailable, JobNotFound):
                # Nobody renews it any more: it lapses by itself.
                log.warning("hold.not_released", job_id=job_id)

        task = asyncio.create_task(release())
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.hold_renew_s)
            job_ids = list(self._calls)
            try:
                for start in range(0, len(job_ids), _CHUNK):
                    await self._store.hold(job_ids[start : start + _CHUNK], self.holder)
                await self._say_what_is_unsaid()
            except StoreUnavailable:
                log.warning("holds.not_renewed", jobs=len(job_ids))

    async def _say_what_is_unsaid(self) -> None:
        for job_id, last in list(self._unsaid.items()):
            await self._answer(job_id, last=last and job_id not in self._calls)
            del self._unsaid[job_id]
