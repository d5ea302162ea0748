"""The turns in between: some of a batch's jobs are on their way, and more are made as those end."""

import asyncio
import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi.exceptions import RequestValidationError

from api.batches.body import EDITS
from api.callers.owner import Caller
from api.errors import shown, shown_invalid, wire
from api.generations.submit import Line as JobLine
from api.store.batches import BatchRecord, BatchStatus, BatchStore, Done, Turn
from api.store.jobs import JobStore
from courier.batches.asking import Asking
from courier.batches.callers import Callers
from courier.batches.checking import Papers
from courier.batches.lines import Line, LineFile, job_id_of
from shared.errors import DarkroomError, JobFailed, Refused, RequestError, StoreUnavailable
from shared.jobs.status import Status
from shared.logs import get_logger
from shared.settings import BatchSettings

log = get_logger(__name__)

SLICE_S: Final = 2.0
"""A turn does not take much longer, so that other batches have theirs."""
_AT_ONCE: Final = 32
_BESIDE: Final = 4
# Pictures that wait to be edited take room that calls need too.
_EDITS_SHARE: Final = 16
# Results are there for whoever ends the batch, be it that nobody could for days.
RESULT_S: Final = 3 * 24 * 3600
_CHANCE: Final = secrets.SystemRandom()
_COMPLETED: Final = "completed"
_FAILED: Final = "failed"


@dataclass
class _Asked:
    """What became of lines that were to be asked for: ``later`` is why some are left for another turn."""

    refused: dict[int, str] = field(default_factory=dict)
    later: Refused | None = None


@dataclass(frozen=True)
class _State:
    """How lines are that were asked for.

    Attributes:
        open: how many have not ended.
        settled: how the others ended.
        lost: where those lie that have no job: it was not made, or Redis lost it.
    """

    open: int
    settled: dict[int, str]
    lost: dict[int, tuple[int, int]]


@dataclass
class _Course:
    """How far a file is read. ``number`` is the last line, and ``offset`` where it ends."""

    paper: LineFile
    number: int
    offset: int

    @property
    def over(self) -> bool:
        """Whether the file is read to its end."""
        return self.offset >= self.paper.size

    async def next(self, room: int) -> list[Line]:
        """Return the next lines, some at a time, without blank ones."""
        found: list[Line] = []
        if room <= 0 or self.over:
            return found
        async for line in self.paper.lines(self.number + 1, self.offset):
            self.number, self.offset = line.number, line.offset + line.size
            found += [] if line.blank else [line]
            if len(found) >= min(room, _AT_ONCE):
                break
        return found

    async def again(self, lost: Mapping[int, tuple[int, int]]) -> list[Line]:
        """Return some of the lines that have no job: others each time, as some may be refused for long."""
        numbers = _CHANCE.sample(sorted(lost), min(len(lost), _AT_ONCE))
        return [await self.paper.line(number, *lost[number]) for number in numbers]

    def announced(self, lines: Iterable[Line], settled: Mapping[int, str]) -> Done:
        """Return what is written before lines are asked for: whoever comes next finds them."""
        read = {"line": str(self.number), "offset": str(self.offset)}
        return Done(read, {each.number: f"{each.offset} {each.size}" for each in lines}, settled)


@dataclass(frozen=True)
class Drawing:
    """Keeps so many jobs of a batch on their way."""

    store: BatchStore
    jobs: JobStore
    papers: Papers
    callers: Callers
    asking: Asking
    settings: BatchSettings

    async def go(self, turn: Turn) -> None:
        """Note what has ended, and ask for more, for a while."""
        batch, until = turn.record, time.monotonic() + SLICE_S
        course = _Course(await self.papers.of(batch), batch.number("line"), batch.number("offset"))
        while True:
            now_ms = await self.store.now_ms()
            left_s = (batch.number("expires_at") - now_ms) / 1000
            if left_s <= 0:
                await self._end(turn, BatchStatus.EXPIRED, now_ms)
                return
            state = await self._look(batch)
            wanted = await course.next(self._room(batch) - state.open)
            if course.over and not wanted and not state.open:
                await self._end(turn, BatchStatus.COMPLETED, now_ms, state.settled)
                return
            await self.store.write(turn, course.announced(wanted, state.settled))
            wanted += await course.again(state.lost)
            asked = await self._ask(batch, wanted, left_s)
            if asked.refused:
                refused = dict.fromkeys(asked.refused, _FAILED)
                await self.store.write(turn, Done(settled=refused, refused=asked.refused))
            idle = not (wanted or state.settled)
            if idle or asked.later is not None or time.monotonic() > until:
                await self.store.write(
                    turn, Done(next_s=self._pause_s(asked.later, idle=idle), released=True)
                )
                return

    def _room(self, batch: BatchRecord) -> int:
        window = self.settings.window
        return max(1, window // _EDITS_SHARE) if batch.endpoint == EDITS else window

    def _pause_s(self, later: Refused | None, *, idle: bool) -> float:
        if later is not None:
            return float(min(30, max(1, later.retry_after_s or 1)))
        return self.settings.look_s if idle else 0.0

    async def _look(self, batch: BatchRecord) -> _State:
        """Look how those lines are that were asked for."""
        pending = await self.store.pending(batch.id)
        numbers = sorted(pending)
        states = await self.jobs.statuses([job_id_of(batch.id, number) for number in numbers])
        settled: dict[int, str] = {}
        lost: dict[int, tuple[int, int]] = {}
        for number, state in zip(numbers, states, strict=True):
            if state is None:
                lost[number] = pending[number]
            elif state[0].terminal:
                settled[number] = _COMPLETED if state[0] is Status.SUCCEEDED else _FAILED
        return _State(len(numbers) - len(settled), settled, lost)

    async def _end(
        self, turn: Turn, outcome: BatchStatus, now_ms: int, settled: dict[int, str] | None = None
    ) -> None:
        fields = {
            "status": BatchStatus.FINALIZING.value,
            "outcome": outcome.value,
            "finalizing_at": str(now_ms),
        }
        await self.store.write(turn, Done(fields, settled=settled or {}, next_s=0, released=True))

    async def _ask(self, batch: BatchRecord, lines: Sequence[Line], left_s: float) -> _Asked:
        """Ask for lines, a few beside each other; what is refused for now is left for another turn."""
        asked = _Asked()
        if not lines:
            return asked
        try:
            caller = await self.callers.of(batch)
        except RequestError as error:
            asked.refused = {line.number: _answer(error) for line in lines}
            return asked
        waiting = iter(lines)

        async def work() -> None:
            for line in waiting:
                if isinstance(asked.later, StoreUnavailable):
                    return
                await self._ask_one(batch, line, caller, left_s, asked)

        await asyncio.gather(*(work() for _ in range(_BESIDE)))
        return asked

    async def _ask_one(
        self, batch: BatchRecord, line: Line, caller: Caller, left_s: float, asked: _Asked
    ) -> None:
        job = JobLine(job_id_of(batch.id, line.number), left_s, int(left_s) + RESULT_S)
        try:
            await self.asking.ask(batch, line, caller, job)
        except RequestValidationError as error:
            asked.refused[line.number] = json.dumps({"status": 422, "body": shown_invalid(error)})
        except (RequestError, JobFailed) as error:
            asked.refused[line.number] = _answer(error)
        except Refused as error:
            asked.later = error


def _answer(error: DarkroomError) -> str:
    """Return what a call would have been answered, as JSON."""
    content: dict[str, Any] = {"status": wire(type(error)).status, "body": shown(error)}
    return json.dumps(content)
