"""The store with the service's own clients and scripts, and no API and no worker around them."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

from pydantic import SecretStr

from api.store.client import StoreClient
from api.store.jobs import JobStore
from api.store.submission import Submission
from cli.valkey import EmbeddedServer
from shared.params import Params
from shared.redis_clients import async_client, sync_client
from shared.settings import JobSettings, RedisSettings
from worker.store import Attempt, WorkerStore

MODEL: Final = "light"
# Bounds that let the load in; the scripts compute them all the same.
SETTINGS: Final = JobSettings(
    lease_s=600,
    deadline_s=10**7,
    max_queued=10**7,
    max_unfinished_per_owner=10**7,
    max_wait_s=10**9,
    max_owed_s_per_owner=10**9,
    max_result_bytes=10**12,
    worker_grace_s=10**6,
)
PROMPT: Final = "a lighthouse at dusk over a calm sea, seen from a small wooden boat, oil on canvas, " * 2
_AT_ONCE: Final = 32
# The server looks at its clients' buffers ten times a second, at a part of them each time.
_GIVEN_BACK_S: Final = 0.5


class Played:
    """Submits as the API does, and claims, renews and finishes as workers do."""

    def __init__(self, url: str) -> None:
        redis = RedisSettings(url=SecretStr(url), timeout_s=30)
        self.client: Any = sync_client(redis)
        self.worker = WorkerStore(self.client, SETTINGS, redis.prefix)
        self.keys = self.worker.keys
        self._loop = asyncio.new_event_loop()
        self._async = async_client(redis)
        self.api = JobStore(StoreClient(self._async, redis.prefix), SETTINGS)
        self._made = 0

    def __enter__(self) -> Self:
        self.worker.renew("played", [MODEL], [], {"slots": 1, "rows": 0})
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._async.aclose())
        self._loop.close()
        self.client.close()

    def run(self, coroutine: Any) -> Any:  # noqa: ANN401 - whatever it returns
        """Run a coroutine of the API's side."""
        return self._loop.run_until_complete(coroutine)

    def submit(self, count: int, owners: int) -> None:
        """Submit jobs of owners in turn, many at once as the API does."""

        async def some(numbers: Sequence[int]) -> None:
            await asyncio.gather(*(self.api.submit(submission(number % owners)) for number in numbers))

        for start in range(0, count, _AT_ONCE):
            numbers = range(self._made + start, self._made + min(count, start + _AT_ONCE))
            self.run(some(numbers))
        self._made += count

    def claim(self, count: int, *, want: int = 1, worker: str = "played") -> list[Attempt]:
        """Claim jobs, so many in one call."""
        found: list[Attempt] = []
        while len(found) < count:
            found += self.worker.claim(MODEL, worker, want=want, alone=True).attempts
        return found

    def finish(self, attempts: Sequence[Attempt], image: bytes) -> None:
        """Write the drafts and make them results."""
        for attempt in attempts:
            self.worker.save_draft(attempt, [image])
            self.worker.finish(
                attempt,
                images=1,
                usage={"input_tokens": 30, "output_tokens": 1303},
                size_bytes=len(image),
                device_s=1.5,
            )

    def drain(self) -> None:
        """Finish whatever is queued, with pictures of a byte."""
        while attempts := self.worker.claim(MODEL, "played", want=64, alone=True).attempts:
            self.finish(attempts, b"A")

    def empty(self) -> None:
        """Delete everything."""
        self.client.execute_command("FLUSHALL", "SYNC")  # or it is freed in the middle of what comes next
        self.worker.renew("played", [MODEL], [], {"slots": 1, "rows": 0})

    def info(self, section: str, *names: str) -> float:
        """Return the sum of some numbers of INFO."""
        said = self.client.info(section)
        return float(sum(said[name] for name in names))

    def cpu_s(self) -> float:
        """CPU time that the server has used."""
        return self.info("cpu", "used_cpu_user", "used_cpu_sys")

    def memory_bytes(self) -> float:
        """Memory that the server takes, when it has given back the buffers of what was said last."""
        before, now = float("inf"), self._own_memory_bytes()
        while now < before:
            time.sleep(_GIVEN_BACK_S)
            before, now = now, self._own_memory_bytes()
        return now

    def _own_memory_bytes(self) -> float:
        # Buffers of connections that are idle shrink only now and then.
        return self.info("memory", "used_memory") - self.info("memory", "mem_clients_normal")

    def file_bytes(self) -> float:
        """Size of the append-only file, when all is written to it that the server was told."""
        while self.info("persistence", "aof_buffer_length", "aof_pending_bio_fsync"):
            time.sleep(_GIVEN_BACK_S / 10)
        return self.info("persistence", "aof_current_size")

    def cpu_us(self, calls: int, do: Callable[[], object]) -> float:
        """Return the server's CPU time of one of so many calls, in microseconds."""
        before = self.cpu_s()
        do()
        return 1e6 * (self.cpu_s() - before) / calls


def submission(owner: int) -> Submission:
    """A job of an owner, held by a caller, as the API makes it."""
    name = f"owner{owner:05d}" + "0" * 24
    return Submission(
        id=secrets.token_hex(16),
        owner=name,
        lane=name,
        model=MODEL,
        params=Params(prompt=PROMPT, seed=1).model_dump_json(),
        cost=4194,
        request_id=secrets.token_hex(16),
        body_digest=secrets.token_hex(16),
        holder="api-0",
        max_wait_s=10**9,
    )


@contextmanager
def served() -> Iterator[tuple[Played, EmbeddedServer]]:
    """Run a server of its own, and its clients."""
    # A rewrite of the file in the middle of a measurement would make its growth unreadable.
    options = ("--auto-aof-rewrite-percentage", "0")
    with (
        EmbeddedServer(maxmemory_bytes=8 * 1024**3, options=options) as server,
        Played(server.url) as played,
    ):
        yield played, server
