"""A line asks for its pictures: checked, priced, moderated and submitted as a call would be."""

from dataclasses import dataclass
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api.batches.body import EDITS
from api.callers.owner import Caller
from api.edits.intake import Intake, read
from api.edits.request import EditRequest
from api.generations.answer import Answering
from api.generations.request import GenerationRequest
from api.generations.submit import Asked
from api.generations.submit import Line as JobLine
from api.http.context import new_request_id
from api.store.batches import BatchRecord
from api.waiting.delivery import Delivery, OnDisconnect, Prefer
from courier.batches.lines import Line, opened
from shared.errors import UnsupportedParameter

_LATER: Final = Delivery(Prefer(respond_async=True), OnDisconnect.CONTINUE, "")
_OF_CALLS: Final = {
    "stream": "nobody waits for a line of a batch",
    "webhook": "a batch tells nobody of each of its lines",
}


@dataclass(frozen=True)
class Asking:
    """Asks for what lines say.

    Attributes:
        answering: checks and submits.
        intake: reads the pictures of edits.
        drawn: what a line for new pictures may say.
        edited: what a line for an edit may say.
    """

    answering: Answering
    intake: Intake
    drawn: type[GenerationRequest]
    edited: type[EditRequest]

    async def ask(self, batch: BatchRecord, line: Line, caller: Caller, job: JobLine) -> None:
        """Make a line's job, where it is not there yet.

        Raises:
            RequestError: it is wrong, or may not be drawn.
            RequestValidationError: a field of it is not what it may be.
            Refused: it is not accepted now.
        """
        if batch.endpoint == EDITS:
            # Its pictures are nobody's memory but that of the process which takes them out.
            await self._edit(batch, line, caller, job)
        else:
            fields = opened(line, batch.endpoint).body
            await self._submit(batch, _read(self.drawn, fields), fields, caller, job)

    async def _edit(self, batch: BatchRecord, line: Line, caller: Caller, job: JobLine) -> None:
        async with self.intake.unpacking(line.text, "body") as (received, folder):
            body = read(self.edited, received)
            _refuse_what_is_of_calls(received.fields)
            self.answering.check(body, received.fields)
            inputs = await self.intake.looked_at(received, folder)
            asked = Asked(body, caller, _LATER, new_request_id(), inputs, batch.words("base") or "", job)
            await self.answering.submitter.submit(asked)

    async def _submit(
        self,
        batch: BatchRecord,
        body: GenerationRequest,
        fields: dict[str, Any],
        caller: Caller,
        job: JobLine,
    ) -> None:
        _refuse_what_is_of_calls(fields)
        self.answering.check(body, fields)
        asked = Asked(body, caller, _LATER, new_request_id(), None, batch.words("base") or "", job)
        await self.answering.submitter.submit(asked)


def _read(body_type: type[GenerationRequest], fields: dict[str, Any]) -> GenerationRequest:
    try:
        return body_type.model_validate(fields)
    except ValidationError as error:
        problems = [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()]
        raise RequestValidationError(problems) from error


def _refuse_what_is_of_calls(fields: dict[str, Any]) -> None:
    for name, why in _OF_CALLS.items():
        if fields.get(name):
            message = f"'{name}' is not supported here: {why}."
            raise UnsupportedParameter(message, param=name)
