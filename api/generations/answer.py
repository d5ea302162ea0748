"""How a request for pictures is answered: by a held call, a stream, or the job."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from starlette.responses import Response

from api.errors import json_response
from api.generations.request import GenerationRequest, ResponseFormat
from api.generations.submit import Asked, Submitter
from api.http.sse import EventStream
from api.jobs.body import JOBS_PATH, job_headers, job_object
from api.jobs.result import result_response
from api.objects.links import Links
from api.provided import provided
from api.store.jobs import Place, Submitted
from api.streams.images import Streamed
from api.waiting.calls import Held, left
from api.waiting.delivery import Delivery, Prefer
from api.waiting.patience import accepted, patiently
from api.waiting.waiting import Waiting
from api.waiting.watch import Woken
from shared.errors import DarkroomError, HeldTooLong, UnsupportedParameter, UnsupportedValue
from shared.jobs.record import JobRecord
from shared.settings import ApiSettings


@dataclass(frozen=True, slots=True)
class Answering:
    """What a request for pictures is answered with."""

    submitter: Submitter
    waiting: Waiting
    settings: ApiSettings
    links: Links

    async def answer(self, asked: Asked, document: dict[str, Any]) -> Response:
        """Make the job and answer as its caller wants it delivered.

        Args:
            asked: the request.
            document: its fields as they came.

        Raises:
            RequestError: no model can do this, or it may not be drawn.
            Refused: it is not accepted now.
        """
        headers = self.check(asked.body, document)
        if asked.body.stream:
            # A stream is an answer of its own: no preference can make another of it.
            asked = replace(asked, delivery=replace(asked.delivery, prefer=Prefer()))
        submitted = await self.submitter.submit(asked)
        if asked.body.stream:
            return await self._streamed(asked, submitted, headers)
        return await self._held_or_accepted(asked, submitted, headers)

    def check(self, body: GenerationRequest, document: dict[str, Any]) -> dict[str, str]:
        """Check that what is asked for can be done as it is asked; return the header of ignored fields.

        Args:
            body: the request.
            document: its fields as they came.

        Raises:
            RequestError: it cannot.
        """
        headers = _refuse_or_name_unknown(type(body), document)
        self._refuse_unsupported(body)
        return headers

    async def _streamed(self, asked: Asked, submitted: Submitted, headers: dict[str, str]) -> Response:
        streamed = Streamed(
            self.waiting, self.links, asked.base, asked.caller.owner, submitted.job_id, asked.delivery
        )
        streamed.enter()
        # A stream says in its head what it is of: its own job, which is known, or an earlier one.
        record = submitted.now[0] if submitted.now else await streamed.begin()
        head = {**headers, **job_headers(record)}
        return EventStream(streamed.events(record), head, self.settings.heartbeat_s, streamed.left)

    async def _held_or_accepted(
        self, asked: Asked, submitted: Submitted, headers: dict[str, str]
    ) -> Response:
        delivery, job_id = asked.delivery, submitted.job_id
        if delivery.prefer.hold_s is not None:
            headers["preference-applied"] = delivery.prefer.applied
        call = HeldCall(
            waiting=self.waiting,
            links=self.links,
            base=asked.base,
            owner=asked.caller.owner,
            job_id=job_id,
            delivery=delivery,
            headers=headers,
            detailed=self.settings.detailed_responses,
            fresh=submitted.made,
        )
        if not delivery.waits:
            return await call.accepted(submitted.now)
        self.waiting.presence.enter(job_id)
        return Held(call, self.waiting.watch)

    def _refuse_unsupported(self, body: GenerationRequest) -> None:
        if body.response_format is ResponseFormat.URL and self.links.objects is None:
            message = (
                "response_format 'url' is not supported: images come back as b64_json. (Whoever runs the "
                "service may name a store for results with DARKROOM_RESULTS__URLS.)"
            )
            raise UnsupportedValue(message, param="response_format")


@dataclass(frozen=True, slots=True)
class HeldCall:
    """One call of an owner that waits for one job. ``headers`` are those of its answer."""

    seen: ClassVar[None] = None

    waiting: Waiting
    links: Links
    base: str
    owner: str
    job_id: str
    delivery: Delivery
    headers: dict[str, str]
    detailed: bool
    fresh: bool

    @property
    def limit_s(self) -> float:
        """The longest wait: ours, or what the caller prefers."""
        longest_s, preferred_s = self.waiting.longest_s, self.delivery.prefer.hold_s
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
        await self.waiting.presence.keep(self.job_id)
        if self.delivery.prefer.hold_s is None:
            raise HeldTooLong(job_id=self.job_id)
        return await self.accepted()

    async def _ended(self) -> Response:
        store = self.waiting.store
        try:
            record, images = await accepted(lambda: store.read_with_result(self.job_id, self.owner))
            images = await patiently(lambda: self.links.shown(record, images, self.base))
        except DarkroomError:
            self.left()
            raise
        return result_response(record, images, detailed=self.detailed, headers=self.headers, recipient=self)

    async def answered(self) -> None:
        """Its caller has the pictures, but for the last byte."""
        await self.waiting.presence.answered(self.job_id)

    def left(self) -> None:
        """Its caller has gone, or gets no picture."""
        self.waiting.presence.gone(self.job_id, self.delivery)

    async def accepted(self, now: tuple[JobRecord, Place | None] | None = None) -> Response:
        """Return the job as it is now: a 202. ``now`` is that where it is known."""
        store = self.waiting.store
        if now is None:
            now = await accepted(lambda: store.read_placed(self.job_id, self.owner))
        location = {"location": f"{JOBS_PATH}/{self.job_id}", "retry-after": "1"}
        return json_response(job_object(*now), 202, {**self.headers, **job_headers(*now), **location})


def _refuse_or_name_unknown(body: type[GenerationRequest], document: dict[str, Any]) -> dict[str, str]:
    """Return the header that names ignored fields.

    Raises:
        UnsupportedParameter: an unknown field would change what is drawn.
    """
    unknown = [name for name in document if name not in body.model_fields]
    for name in unknown:
        if name in body.cannot_honour and document[name] is not None:
            message = f"'{name}' is not supported: {body.cannot_honour[name]}."
            raise UnsupportedParameter(message, param=name)
    # Names are the caller's text: only what a header may carry goes back, and not much of it.
    named = [name for name in unknown if name.isascii() and name.isprintable() and "," not in name]
    return {"x-ignored-fields": ", ".join(named)[:512]} if named else {}


AnsweringDep = Annotated[Answering, provided("answering")]
