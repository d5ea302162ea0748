"""The last turn: what is left is cancelled, and files are written, a line for each line, in their order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from api.files.shelf import MEDIA_TYPE
from api.store.batches import BatchRecord, BatchStatus, BatchStore, Done, Turn
from api.store.files import FileStore, NewFile, Purpose, new_file_id, object_name
from api.store.jobs import JobStore
from courier.batches.checking import Papers
from courier.batches.lines import LineFile, job_id_of
from courier.batches.results import Result, Results
from shared.errors import JobNotFound
from shared.logs import get_logger
from shared.objects import ObjectStore, ObjectWriter
from shared.settings import BatchSettings

log = get_logger(__name__)

_AHEAD: Final = 4
"""So many lines are in memory at a time, each with its pictures."""
_NAMES_AT_ONCE: Final = 500
_EXPECTED_AGAIN: Final = 500


class _Sheet:
    """One of the files that is being written; there is none before its first line."""

    def __init__(self, objects: ObjectStore, file_id: str) -> None:
        self.file_id = file_id
        self.lines = 0
        self._objects = objects
        self._writer: ObjectWriter | None = None

    async def add(self, result: Result) -> None:
        """Write a line."""
        if self._writer is None:
            self._writer = self._objects.writer(object_name(self.file_id), MEDIA_TYPE)
        for piece in result.pieces:
            await self._writer.write(piece)
        self.lines += 1

    async def close(self) -> int:
        """Make the file of what was written; return what it takes in bytes."""
        if self._writer is None:
            return 0
        await self._writer.close()
        return self._writer.size_bytes


@dataclass
class _Sum:
    """What all lines come to."""

    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    spent: list[str] = field(default_factory=list)

    def count(self, result: Result) -> None:
        """Count a line."""
        self.completed += result.completed
        self.failed += not result.completed
        self.input_tokens += result.tokens[0]
        self.output_tokens += result.tokens[1]
        if not result.kept:
            self.spent += result.names


@dataclass(frozen=True)
class Ending:
    """Ends batches."""

    store: BatchStore
    jobs: JobStore
    files: FileStore
    objects: ObjectStore
    papers: Papers
    results: Results
    settings: BatchSettings

    async def go(self, turn: Turn) -> None:
        """Cancel what is left, write the files, and say that the batch has ended."""
        batch = _with_outcome(turn.record)
        if not batch.number("in_progress_at"):
            # It was cancelled before anybody had looked at its lines.
            await self._say(turn, batch, {}, _Sum())
            return
        await self._cancel(batch)
        ttl_s = batch.output_ttl_s or self.settings.file_ttl_s
        output, errors = await self._sheets(turn, batch)
        paper = await self.papers.of(batch)
        total = _Sum()
        # The addresses of pictures live as long as the file that has them.
        expires = await self.store.now_ms() // 1000 + ttl_s
        async for result in self._in_order(paper, batch, expires):
            await (output if result.completed else errors).add(result)
            total.count(result)
            if not (total.completed + total.failed) % _EXPECTED_AGAIN:
                await self._expect(batch, output, errors)
            if result.kept:
                await self.store.time_objects(result.names, ttl_s + 60)
        fields = {
            "output_file_id": await self._keep(output, batch, "output", ttl_s),
            "error_file_id": await self._keep(errors, batch, "error", ttl_s),
        }
        await self._say(turn, batch, fields, total)
        # What is in the file is needed nowhere else.
        for start in range(0, len(total.spent), _NAMES_AT_ONCE):
            await self.store.time_objects(total.spent[start : start + _NAMES_AT_ONCE], 0)

    async def _cancel(self, batch: BatchRecord) -> None:
        """End the jobs that have not ended."""
        for number in await self.store.pending(batch.id):
            with suppress(JobNotFound):
                await self.jobs.cancel(job_id_of(batch.id, number), batch.owner)

    async def _sheets(self, turn: Turn, batch: BatchRecord) -> tuple[_Sheet, _Sheet]:
        """Begin both files, under the names that an earlier turn gave them, where one came as far as this."""
        named = (batch.words("writing") or "").split()
        ids = named or [new_file_id(), new_file_id()]
        if not named:
            await self.store.write(turn, Done({"writing": " ".join(ids)}))
        sheets = _Sheet(self.objects, ids[0]), _Sheet(self.objects, ids[1])
        await self._expect(batch, *sheets)
        # What a courier left that was killed while it wrote.
        await asyncio.to_thread(self.objects.delete, [object_name(file_id) for file_id in ids])
        return sheets

    async def _expect(self, batch: BatchRecord, *sheets: _Sheet) -> None:
        """Say that these files are being written."""
        for sheet in sheets:
            await self.files.expect(NewFile(sheet.file_id, batch.owner, "", Purpose.BATCH_OUTPUT, 0, 0))

    async def _in_order(self, paper: LineFile, batch: BatchRecord, expires: int) -> AsyncIterator[Result]:
        """Yield how each line ended, in the order of the file; the next ones are read ahead."""
        refused = await self.store.refused(batch.id)
        ahead: deque[asyncio.Task[Result]] = deque()
        try:
            async for line in paper.lines():
                if line.blank:
                    continue
                answer = self.results.of(batch, line, refused.get(line.number), expires)
                ahead.append(asyncio.create_task(answer))
                if len(ahead) == _AHEAD:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _keep(self, sheet: _Sheet, batch: BatchRecord, what: str, ttl_s: int) -> str:
        """Make a file of a sheet; return its id, empty where nothing is on it."""
        size = await sheet.close()
        if not sheet.lines:
            return ""
        name = f"{batch.id}_{what}.jsonl"
        new = NewFile(sheet.file_id, batch.owner, name, Purpose.BATCH_OUTPUT, size, ttl_s)
        await self.files.keep(new)
        return sheet.file_id

    async def _say(self, turn: Turn, batch: BatchRecord, fields: dict[str, str], total: _Sum) -> None:
        numbers = {
            "completed": total.completed,
            "failed": total.failed,
            "input_tokens": total.input_tokens,
            "output_tokens": total.output_tokens,
            f"{batch.outcome.value}_at": await self.store.now_ms(),
        }
        fields = {**fields, **{name: str(number) for name, number in numbers.items()}}
        fields["status"] = batch.outcome.value
        await self.store.write(turn, Done(fields, next_s=None, released=True))
        log.info(
            "batch.ended",
            batch_id=batch.id,
            status=batch.outcome.value,
            completed=total.completed,
            failed=total.failed,
        )


def _with_outcome(batch: BatchRecord) -> BatchRecord:
    """Return a batch that knows what it will be: one that is being cancelled says it by its status."""
    if batch.status is not BatchStatus.CANCELLING:
        return batch
    return BatchRecord(batch.id, {**batch.values, "outcome": BatchStatus.CANCELLED.value})
