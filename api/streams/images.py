"""The pictures of one call as they come, in OpenAI's events."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from api.errors import job_error
from api.http.sse import event
from api.jobs.body import kind, warnings
from api.objects.links import Links
from api.store.jobs import PreviewName
from api.streams.telling import fetched, told, told_as_events, waking
from api.waiting.delivery import Delivery
from api.waiting.follow import Follower
from api.waiting.patience import accepted, patiently
from api.waiting.waiting import Waiting
from shared import tracing
from shared.errors import HeldTooLong
from shared.jobs.record import JobRecord
from shared.jobs.status import Status


class Names(NamedTuple):
    """What the events of a call are called."""

    partial: str
    completed: str


DRAWN: Final = Names("image_generation.partial_image", "image_generation.completed")
EDITED: Final = Names("image_edit.partial_image", "image_edit.completed")


def _names(record: JobRecord) -> Names:
    return EDITED if record.params.edits else DRAWN


@dataclass
class Streamed:
    """One call that streams the pictures of one job."""

    waiting: Waiting
    links: Links
    base: str
    owner: str
    job_id: str
    delivery: Delivery
    _waits: bool = False
    _sent: set[PreviewName] = field(default_factory=set)

    def enter(self) -> None:
        """Note that a caller waits for the job, as for a held call."""
        self.waiting.presence.enter(self.job_id)
        self._waits = True

    def left(self) -> None:
        """The caller has hung up."""
        if self._waits:
            self._waits = False
            self.waiting.presence.gone(self.job_id, self.delivery)

    async def begin(self) -> JobRecord:
        """Return the job as it is now.

        Raises:
            StoreUnavailable: it could not be read; nobody waits for it here any more.
        """
        try:
            return await self._read()
        except BaseException:
            self.left()
            raise

    async def events(self, record: JobRecord) -> AsyncGenerator[bytes, None]:
        """Yield OpenAI's events until the last picture of a job, or an error."""
        try:
            async with aclosing(told_as_events(self._events(record))) as events:
                async for each in events:
                    yield each
        finally:
            # Ended by an error: nobody waits here any more, whoever has hung up.
            self.left()

    async def _events(self, record: JobRecord) -> AsyncGenerator[bytes, None]:
        with tracing.current().begin("hold"):
            async with aclosing(self._until_ended(record)) as previews:
                async for each in previews:
                    yield each
        record = await self._read()
        if record.status is not Status.SUCCEEDED:
            raise job_error(record.error, record.id)
        images = await patiently(lambda: self.waiting.store.images(record.id, record.params.n))
        shown = await patiently(lambda: self.links.shown(record, images, self.base))
        if record.params.partial_images:
            async for each in self._previews(record, await patiently(self._names)):
                yield each
        for index, image in enumerate(shown):
            if index == len(shown) - 1:
                await self._answered()
            yield _completed(record, index, image)

    async def _until_ended(self, record: JobRecord) -> AsyncGenerator[bytes, None]:
        watch, longest_s = self.waiting.watch, self.waiting.longest_s
        async with (
            self._following(record) as follower,
            waking(follower, lambda: watch.ended(self.job_id, longest_s)) as (ended,),
        ):
            while not ended.done():
                await follower.next()
                async for each in self._previews(record, await told(follower, self._names)):
                    yield each
            if not ended.result():
                await self._goes_on()

    def _following(self, record: JobRecord) -> AbstractAsyncContextManager[Follower]:
        if not record.params.partial_images:
            return nullcontext(Follower(self.job_id))
        return self.waiting.followers.following(self.job_id)

    async def _previews(self, record: JobRecord, names: set[PreviewName]) -> AsyncIterator[bytes]:
        async for (image, partial), file in fetched(self.waiting.store, self.job_id, names, self._sent):
            name = _names(record).partial
            data = {"type": name, "partial_image_index": partial, "created_at": int(time.time())}
            yield event(name, {**data, **_about(record, image)}, base64=file)

    async def _goes_on(self) -> None:
        """End the call before its job, which goes on.

        Raises:
            HeldTooLong: always.
        """
        if self._waits:
            self._waits = False
            await self.waiting.presence.keep(self.job_id)
        raise HeldTooLong(job_id=self.job_id)

    async def _answered(self) -> None:
        if self._waits:
            self._waits = False
            await self.waiting.presence.answered(self.job_id)

    async def _read(self) -> JobRecord:
        return await accepted(lambda: self.waiting.store.read(self.job_id, self.owner))

    async def _names(self) -> set[PreviewName]:
        return await self.waiting.store.preview_names(self.job_id)


def usage_of_image(record: JobRecord, index: int) -> dict[str, Any]:
    """Return one image's part of a job's usage. The parts add up: the prompt counts with the first image."""
    usage, first = record.usage or {}, index == 0
    details = usage.get("input_tokens_details", {})
    read = usage.get("input_tokens", 0) if first else 0
    written = usage.get("output_tokens", 0) // record.params.n
    return {
        "input_tokens": read,
        "input_tokens_details": details if first else dict.fromkeys(details, 0),
        "output_tokens": written,
        "total_tokens": read + written,
    }


def _completed(record: JobRecord, index: int, image: bytes) -> bytes:
    name = _names(record).completed
    data = {
        "type": name,
        "created_at": (record.finished_at or 0) // 1000,
        **_about(record, index),
        "usage": usage_of_image(record, index),
        "warnings": warnings(record),
    }
    if record.params.stored:
        return event(name, {"url": image.decode(), **data})
    return event(name, data, base64=image)


def _about(record: JobRecord, index: int) -> dict[str, Any]:
    return {**kind(record), "index": index}
