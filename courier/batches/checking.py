"""The first turn: every line is looked at, before the first of them costs anything."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Final

from api.batches.body import EDITS
from api.store.batches import BatchRecord, BatchStatus, BatchStore, Done, Turn
from api.store.files import FileStore
from courier.batches.lines import ENVELOPE_BYTES, Line, LineFile, LineTooLong, Problem, opened
from shared.errors import FileNotFound
from shared.logs import get_logger
from shared.objects import ObjectStore
from shared.settings import ApiSettings, BatchSettings

log = get_logger(__name__)

MAX_PROBLEMS: Final = 100
"""A batch tells so many of them."""


@dataclass(frozen=True)
class Papers:
    """Opens the files of batches.

    Attributes:
        objects: where they lie.
        files: what is known of them.
        settings: those of the HTTP process, which bound a request.
    """

    objects: ObjectStore
    files: FileStore
    settings: ApiSettings

    async def of(self, batch: BatchRecord) -> LineFile:
        """Return the file of a batch.

        Raises:
            FileNotFound: it is gone.
        """
        size = batch.number("size") or (await self.files.read(batch.input_file_id, batch.owner)).bytes
        edits = batch.endpoint == EDITS
        most = self.settings.max_upload_bytes if edits else self.settings.max_body_bytes
        return LineFile(self.objects, batch.input_file_id, size, most + ENVELOPE_BYTES)


@dataclass
class _Found:
    """What was found in a file so far."""

    lines: int = 0
    custom_ids: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def look_at(self, line: Line, endpoint: str) -> None:
        """Look at a line."""
        self.lines += 1
        try:
            envelope = opened(line, endpoint)
        except Problem as problem:
            self.problems.append(problem)
            return
        if envelope.custom_id in self.custom_ids:
            message = "'custom_id' is that of another line."
            self.problems.append(Problem("duplicate_custom_id", message, "custom_id", line.number))
        self.custom_ids.add(envelope.custom_id)
        model = envelope.body.get("model")
        self.models.add(model if isinstance(model, str) and len(model) <= 256 else "")  # noqa: PLR2004

    @property
    def model(self) -> str:
        """The model that every line names; empty where that is not one."""
        return next(iter(self.models)) if len(self.models) == 1 else ""


@dataclass(frozen=True)
class Checking:
    """Looks at the lines of new batches."""

    store: BatchStore
    papers: Papers
    settings: BatchSettings

    async def go(self, turn: Turn) -> None:
        """Look at every line: the batch is in progress afterwards, or has failed."""
        batch = turn.record
        try:
            paper = await self.papers.of(batch)
            found = await self._look(paper, batch.endpoint)
        except (FileNotFound, FileNotFoundError):
            found, paper = _Found(problems=[Problem("file_not_found", "The file is gone.")]), None
        if found.problems or paper is None:
            await self._fail(turn, found)
            return
        now_ms = str(await self.store.now_ms())
        known = {"total": str(found.lines), "size": str(paper.size), "model": found.model}
        fields = {**known, "status": BatchStatus.IN_PROGRESS.value, "in_progress_at": now_ms}
        await self.store.write(turn, Done(fields, next_s=0, released=True))
        log.info("batch.begun", batch_id=batch.id, lines=found.lines)

    async def _look(self, paper: LineFile, endpoint: str) -> _Found:
        found = _Found()
        try:
            async for line in paper.lines():
                if line.blank:
                    continue
                if found.lines == self.settings.max_lines:
                    message = f"A batch has at most {self.settings.max_lines} lines."
                    found.problems.append(Problem("too_many_lines", message, None, line.number))
                    break
                found.look_at(line, endpoint)
                if len(found.problems) == MAX_PROBLEMS:
                    break
                await asyncio.sleep(0)
        except LineTooLong as error:
            message = "This line is longer than a request may be."
            found.problems.append(Problem("line_too_long", message, None, error.number))
        if not found.lines and not found.problems:
            found.problems.append(Problem("empty_file", "The file has no lines."))
        return found

    async def _fail(self, turn: Turn, found: _Found) -> None:
        now_ms = str(await self.store.now_ms())
        fields = {
            "status": BatchStatus.FAILED.value,
            "failed_at": now_ms,
            "total": str(found.lines),
            "errors": json.dumps([problem.told() for problem in found.problems]),
        }
        await self.store.write(turn, Done(fields, next_s=None, released=True))
        log.info("batch.failed", batch_id=turn.record.id, code=found.problems[0].code)
