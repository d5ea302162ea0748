"""What happens to one job, for whoever follows it. A stream that was cut is resumed by its last id."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from api.http.sse import event
from api.jobs.body import describe
from api.store.jobs import PreviewName
from api.streams.telling import fetched, told, told_as_events, waking
from api.waiting.follow import Follower
from api.waiting.patience import patiently
from api.waiting.waiting import Waiting
from shared.errors import Stopping
from shared.jobs.record import JobRecord
from shared.jobs.status import Status

# How often one who waits in the queue is told of a new place.
QUEUE_S: Final = 2.0
# How often one whose job runs is looked after anew, whatever is told meanwhile.
_RUNNING_S: Final = 600.0
# After a cut, a client comes back this soon.
RETRY_MS: Final = 1000
_SENT: Final = re.compile(r"\d{1,2}\.\d(,\d{1,2}\.\d){0,39}", re.ASCII)


@dataclass
class Followed:
    """One call that follows one job, whoever made it wait: a spectator, whose going means nothing."""

    waiting: Waiting
    owner: str
    job_id: str
    sent: set[PreviewName]
    _told: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def resuming(cls, waiting: Waiting, owner: str, job_id: str, last_event_id: str) -> "Followed":
        """Follow a job from where a cut stream ended; a malformed id begins anew."""
        sent: set[PreviewName] = set()
        if _SENT.fullmatch(last_event_id):
            pairs = (name.split(".") for name in last_event_id.split(","))
            sent = {(int(image), int(partial)) for image, partial in pairs}
        return cls(waiting, owner, job_id, sent)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield our events until the job has ended."""
        yield f"retry: {RETRY_MS}\n\n".encode()
        async with aclosing(told_as_events(self._events())) as events:
            async for each in events:
                yield each

    async def _events(self) -> AsyncGenerator[bytes, None]:
        async with self.waiting.followers.following(self.job_id) as follower:
            while True:
                record = await patiently(lambda: self.waiting.store.read(self.job_id, self.owner))
                if record.status.terminal:
                    async for each in self._previews(record, await patiently(self._names)):
                        yield each
                async for each in self._status(record):
                    yield each
                if record.status.terminal:
                    yield event("end", {}, event_id=self._id)
                    return
                try:
                    async with aclosing(self._until_changed(record, follower)) as events:
                        async for each in events:
                            yield each
                except Stopping:
                    return  # who follows comes back, to another process

    async def _status(self, record: JobRecord) -> AsyncIterator[bytes]:
        document = await patiently(lambda: describe(self.waiting.store, record))
        # Progress has an event of its own.
        telling = {name: value for name, value in document.items() if name != "progress"}
        if telling != self._told:
            self._told = telling
            yield event("status", document, event_id=self._id)

    async def _until_changed(self, record: JobRecord, follower: Follower) -> AsyncGenerator[bytes, None]:
        """Yield what is told until the job has left its status, or may have a new place in its queue.

        Raises:
            Stopping: this process was told to end.
        """
        seen = record.status, record.attempt
        within_s = QUEUE_S if record.status is Status.QUEUED else _RUNNING_S
        async with waking(follower, lambda: self.waiting.watch.changed(self.job_id, seen, within_s)) as (
            changed,
        ):
            while not changed.done():
                await follower.next()
                async for each in self._news_of(record, follower):
                    yield each
            changed.result()

    async def _news_of(self, record: JobRecord, follower: Follower) -> AsyncIterator[bytes]:
        step, follower.step = follower.step, None
        if step is not None:
            percent = min(99, 100 * step.step // step.steps) if step.steps else 0
            data = {"attempt": step.attempt, "step": step.step, "steps": step.steps, "progress": percent}
            yield event("progress", data, event_id=self._id)
        async for each in self._previews(record, await told(follower, self._names)):
            yield each

    async def _previews(self, record: JobRecord, names: set[PreviewName]) -> AsyncIterator[bytes]:
        about = {"output_format": record.params.output_format.value, "size": record.params.size}
        async for (image, partial), file in fetched(self.waiting.store, self.job_id, names, self.sent):
            data = {"index": image, "partial_image_index": partial, **about}
            yield event("preview", data, event_id=self._id, base64=file)

    async def _names(self) -> set[PreviewName]:
        return await self.waiting.store.preview_names(self.job_id)

    @property
    def _id(self) -> str:
        """What was sent so far that must not be sent again."""
        return ",".join(f"{image}.{partial}" for image, partial in sorted(self.sent)) or "-"
