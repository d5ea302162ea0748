"""The pictures that jobs begin with: put into the store before their job, which has them from then on."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from api.store.client import StoreClient
from shared.errors import InputsFull, TooManyJobs
from shared.settings import JobSettings

# As long as they may lie there without their job: what puts them in makes the job at once.
_ORPHAN_MS: Final = 60_000


class InputStore:
    """Pictures that jobs begin with.

    Args:
        client: the server.
        settings: those of jobs.

    Every method raises StoreUnavailable where Redis is away.
    """

    def __init__(self, client: StoreClient, settings: JobSettings) -> None:
        self._client = client
        self._settings = settings

    async def require_room(self, owner: str) -> None:
        """Check that there is room, before anything is put in; the job's submission counts what there is.

        Raises:
            InputsFull: those of all jobs take as much as they may.
            TooManyJobs: those of this owner do.
        """
        keys = self._client.keys
        all_, own = await self._client.ask(
            lambda pipe: (pipe.get(keys.input_bytes), pipe.get(keys.owner_input_bytes(owner)))
        )
        if int(own or 0) >= self._settings.max_input_bytes_per_owner:
            message = "You have too many pictures waiting to be edited; wait until some of them are."
            raise TooManyJobs(message)
        if int(all_ or 0) >= self._settings.max_input_bytes:
            raise InputsFull(retry_after_s=5)

    async def put(self, job_id: str, files: Mapping[str, Path]) -> int:
        """Put a job's pictures in; return what they take, in bytes.

        Args:
            job_id: the job that is about to be made.
            files: where they lie, by their names: ``0``, ``1``, … and ``mask``.
        """
        name, bytes_ = self._client.keys.input(job_id), 0
        for field, path in files.items():
            # One after the other: each is in memory only while it is sent.
            file = path.read_bytes()
            bytes_ += len(file)
            await self._client.ask(partial(_put, name=name, field=field, file=file))
        return bytes_

    async def drop(self, job_id: str) -> None:
        """Take out the pictures of a job that was not made."""
        await self._client.ask(lambda pipe: pipe.delete(self._client.keys.input(job_id)))


def _put(pipe: Any, *, name: str, field: str, file: bytes) -> None:  # noqa: ANN401 - as all that fills a pipe
    # The end before the file: a connection that is cut between the two would leave one that never goes.
    pipe.hset(name, field, b"")
    pipe.pexpire(name, _ORPHAN_MS)
    pipe.hset(name, field, file)
