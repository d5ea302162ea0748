"""Batches in the job store: made, read, listed and cancelled by the API, worked on by couriers."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final

from api.store.client import StoreClient
from shared.errors import BatchNotFound, FileNotFound, TooManyBatches
from shared.jobs.keys import Keys
from shared.settings import BatchSettings

_ID: Final = re.compile(r"batch_[0-9a-f]{32}")
_REPLAY_TTL_MS: Final = 24 * 3600 * 1000


class BatchStatus(StrEnum):
    """How far a batch is, in OpenAI's words."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self in _ENDED


_ENDED: Final = frozenset(
    {BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}
)


@dataclass(frozen=True)
class BatchRecord:
    """One batch as it is kept.

    Attributes:
        id: its id.
        values: the fields of its hash. Instants are unix milliseconds of Redis's clock.
    """

    id: str
    values: Mapping[str, str]

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.values["owner"]

    @property
    def key_id(self) -> str:
        """The API key that made it; empty where none was needed."""
        return self.values.get("key_id", "")

    @property
    def organization(self) -> str:
        """The organization for which it was made."""
        return self.values.get("organization", "")

    @property
    def endpoint(self) -> str:
        """The path that each line is for."""
        return self.values["endpoint"]

    @property
    def input_file_id(self) -> str:
        """The file of its lines."""
        return self.values["input_file_id"]

    @property
    def status(self) -> BatchStatus:
        """How far it is."""
        return BatchStatus(self.values["status"])

    @property
    def outcome(self) -> BatchStatus:
        """What it will be when its files are written."""
        return BatchStatus(self.values.get("outcome", BatchStatus.COMPLETED))

    @property
    def output_ttl_s(self) -> int:
        """How long its files are kept; 0 where its caller did not say."""
        return int(self.values.get("output_ttl_s", "0"))

    @property
    def request_id(self) -> str:
        """The request that made it."""
        return self.values.get("request_id", "")

    def number(self, name: str) -> int:
        """Return a field that is a number; 0 where it is missing."""
        return int(self.values.get(name) or "0")

    def words(self, name: str) -> str | None:
        """Return a field that is a text; None where it is missing or empty."""
        return self.values.get(name) or None

    def document(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return a field that is JSON; None where it is missing."""
        return json.loads(self.values[name]) if self.values.get(name) else None


@dataclass(frozen=True)
class NewBatch:
    """A batch to be made.

    Attributes:
        id: its id.
        owner: whose it is.
        input_file_id: the file of its lines.
        fields: what else is known of it.
        body_digest: a keyed hash of the request.
        replay_digest: one of its Idempotency-Key; empty: it has none.
    """

    id: str
    owner: str
    input_file_id: str
    fields: Mapping[str, str]
    body_digest: str
    replay_digest: str = ""


@dataclass(frozen=True)
class Turn:
    """A courier's right to a batch, until its lease lapses. ``record`` is the batch as the turn found it."""

    record: BatchRecord
    token: str


@dataclass(frozen=True)
class Done:
    """What a turn has done since it last wrote.

    Attributes:
        fields: what is set.
        pending: lines whose jobs are about to be made: where each lies in the file, ``offset bytes``.
        settled: lines that have ended, ``completed`` or ``failed``.
        refused: what a call would have been answered, as JSON, by the lines that got no job.
        next_s: when the batch is due again; None: it has ended.
        released: whether the turn is over.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    pending: Mapping[int, str] = field(default_factory=dict)
    settled: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    next_s: float | None = None
    released: bool = False


def new_batch_id() -> str:
    """Return an id that nobody can guess."""
    return f"batch_{secrets.token_hex(16)}"


class BatchStore:
    """Batches, by their owners: a batch of another owner does not exist.

    Args:
        client: the server.
        settings: those of batches.

    Every method raises StoreUnavailable where Redis is away.
    """

    def __init__(self, client: StoreClient, settings: BatchSettings) -> None:
        self._client = client
        self._settings = settings

    @property
    def keys(self) -> Keys:
        """The names of what is stored."""
        return self._client.keys

    async def begin(self, new: NewBatch) -> BatchRecord:
        """Make a batch, or find the one that this call repeats; return it.

        Raises:
            FileNotFound: there is no such file of this owner.
            TooManyBatches: the owner has too many that have not ended.
            IdempotencyMismatch: the Idempotency-Key was used with another body.
        """
        replay = new.replay_digest and self.keys.key("batch_replay", new.owner, new.replay_digest)
        try:
            (found,) = await self._client.run(
                "begin_batch",
                batch=self.keys.batch(new.id),
                id=new.id,
                owner=new.owner,
                file=new.input_file_id,
                fields=json.dumps(dict(new.fields)),
                max_unfinished=self._settings.max_unfinished_per_owner,
                window_ms=int(self._settings.completion_s * 1000),
                replay_key=replay,
                replay_ttl_ms=_REPLAY_TTL_MS,
                body_digest=new.body_digest,
            )
        except FileNotFound as error:
            raise FileNotFound(param="input_file_id") from error
        except TooManyBatches as error:
            raise TooManyBatches(retry_after_s=60) from error
        return await self.read(found.decode(), new.owner)

    async def read(self, batch_id: str, owner: str) -> BatchRecord:
        """Return a batch of this owner.

        Raises:
            BatchNotFound: there is none.
        """
        if not _ID.fullmatch(batch_id):
            raise BatchNotFound
        (found,) = await self._read_many([batch_id])
        if found is None or found.owner != owner:
            raise BatchNotFound
        return found

    async def cancel(self, batch_id: str, owner: str) -> BatchRecord:
        """Say that a batch of this owner is to be cancelled; return it.

        Raises:
            BatchNotFound: there is none.
            BatchEnded: it has ended, or is about to.
        """
        if not _ID.fullmatch(batch_id):
            raise BatchNotFound
        await self._client.run("cancel_batch", batch=self.keys.batch(batch_id), id=batch_id, owner=owner)
        return await self.read(batch_id, owner)

    async def page(self, owner: str, *, limit: int, after: str) -> tuple[list[BatchRecord], bool]:
        """Return an owner's batches, newest first, and whether there are more.

        Args:
            owner: whose batches.
            limit: most batches to return.
            after: the id of the last batch of the page before; empty: from the first.

        Raises:
            BatchNotFound: ``after`` is not a batch of this owner.
        """
        batches, start = self.keys.batches_of(owner), 0
        if after:
            (rank,) = await self._client.ask(lambda pipe: pipe.zrevrank(batches, after))
            if rank is None:
                raise BatchNotFound(param="after")
            start = rank + 1
        found: list[BatchRecord] = []
        while len(found) <= limit:
            (ids,) = await self._client.ask(partial(_ask_page, batches=batches, first=start, most=limit))
            if not ids:
                break
            start += len(ids)
            records = await self._read_many([each.decode() for each in ids])
            found += [each for each in records if each is not None and each.owner == owner]
        return found[:limit], len(found) > limit

    async def take(self) -> Turn | None:
        """Take the batch that is due for longest; None where none is."""
        token = secrets.token_hex(8)
        found = await self._client.run("take_batch", token=token, lease_ms=int(self._settings.lease_s * 1000))
        if not found:
            return None
        (record,) = await self._read_many([found[0].decode()])
        return Turn(record, token) if record else None

    async def write(self, turn: Turn, done: Done) -> None:
        """Write what a turn has done, all of it or nothing.

        Raises:
            LeaseLost: the batch is another turn's, or was cancelled meanwhile.
            BatchNotFound: it is gone.
        """
        lease_s = self._settings.lease_s
        next_s = lease_s if done.next_s is None and not done.released else done.next_s
        await self._client.run(
            "write_batch",
            batch=self.keys.batch(turn.record.id),
            id=turn.record.id,
            token=turn.token,
            status=turn.record.status.value,
            step=secrets.token_hex(8),
            fields=json.dumps(dict(done.fields)),
            pending=json.dumps(dict(done.pending)),
            settled=json.dumps(dict(done.settled)),
            refused=json.dumps(dict(done.refused)),
            next_ms=-1 if next_s is None else int(next_s * 1000),
            released=int(done.released),
            ttl_ms=self._settings.file_ttl_s * 1000,
        )

    async def pending(self, batch_id: str) -> dict[int, tuple[int, int]]:
        """Return where each line lies in the file, from which byte and how many, whose job has not ended."""
        (found,) = await self._client.ask(lambda pipe: pipe.hgetall(self.keys.batch_pending(batch_id)))
        return {int(line): _pair(where) for line, where in found.items()}

    async def refused(self, batch_id: str) -> dict[int, str]:
        """Return what a call would have been answered, as JSON, by the lines that got no job."""
        (found,) = await self._client.ask(lambda pipe: pipe.hgetall(self.keys.batch_refused(batch_id)))
        return {int(line): words.decode() for line, words in found.items()}

    async def time_objects(self, names: Sequence[str], in_s: float) -> None:
        """Say when objects may be deleted: those of 0 at once, others not sooner than said before."""
        await self._client.run("time_objects", names=json.dumps(list(names)), in_ms=int(in_s * 1000))

    async def now_ms(self) -> int:
        """Return what time it is, by Redis's clock."""
        ((seconds, micros),) = await self._client.ask(lambda pipe: pipe.time())
        return int(seconds) * 1000 + int(micros) // 1000

    async def _read_many(self, batch_ids: Sequence[str]) -> list[BatchRecord | None]:
        rows = await self._client.ask(
            lambda pipe: [pipe.hgetall(self.keys.batch(batch_id)) for batch_id in batch_ids]
        )
        return [_parsed(batch_id, row) for batch_id, row in zip(batch_ids, rows, strict=True)]


def _ask_page(pipe: Any, *, batches: str, first: int, most: int) -> None:  # noqa: ANN401
    pipe.zrevrange(batches, first, first + most)


def _pair(words: bytes) -> tuple[int, int]:
    offset, size = words.split()
    return int(offset), int(size)


def _parsed(batch_id: str, row: Mapping[bytes, bytes]) -> BatchRecord | None:
    values = {name.decode(): value.decode() for name, value in row.items()}
    return BatchRecord(batch_id, values) if {"owner", "status"} <= values.keys() else None
