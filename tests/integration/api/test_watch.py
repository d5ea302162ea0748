"""Waiting for jobs: woken by the streams, and by the sweep where a stream has lost what it said."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as aioredis

from api.store.client import StoreClient
from api.store.jobs import JobStore
from api.waiting.watch import READ_TIMEOUT_S, SWEEP_S, JobWatch
from shared.jobs.status import Status
from shared.redis_clients import async_client, sync_client
from shared.settings import JobSettings, RedisSettings
from tests.jobs import Caller
from tests.waiting import wait_until_async
from worker.store import WorkerStore

QUEUED = (Status.QUEUED, 0)
AT_ONCE_S = SWEEP_S / 2


class Watched:
    """A watch, and the other side of the store: who submits jobs and who works on them."""

    def __init__(self, redis_settings: RedisSettings, watch: JobWatch) -> None:
        self.watch = watch
        self.client = sync_client(redis_settings)
        self.jobs = Caller(self.client, redis_settings.prefix)
        self.worker = WorkerStore(self.client, JobSettings(), redis_settings.prefix)

    def start_job(self) -> None:
        self.worker.claim("m", "w", want=1, alone=True)

    async def until_waiting(self, calls: int) -> None:
        async def reached() -> bool:
            return self.watch.waiting == calls

        await wait_until_async(reached, what=f"{calls} waiting calls")


@pytest.fixture
async def clients(redis_settings: RedisSettings) -> AsyncIterator[tuple[aioredis.Redis, aioredis.Redis]]:
    commands = async_client(redis_settings)
    blocking = async_client(redis_settings, timeout_s=READ_TIMEOUT_S, retries=0, connections=2)
    yield commands, blocking
    await commands.aclose()
    await blocking.aclose()


@pytest.fixture
async def watched(
    clients: tuple[aioredis.Redis, aioredis.Redis], redis_settings: RedisSettings
) -> AsyncIterator[Watched]:
    commands, blocking = clients
    store = JobStore(StoreClient(commands, redis_settings.prefix), JobSettings())
    watch = JobWatch(blocking, store)
    watch.start()
    watched = Watched(redis_settings, watch)
    yield watched
    await watch.close()
    watched.client.close()


async def test_the_end_of_a_job_wakes_whoever_waits_for_it(watched: Watched) -> None:
    job_id, other = watched.jobs.submit(), watched.jobs.submit()
    waits = [asyncio.create_task(watched.watch.ended(job_id, 20)) for _ in range(3)]
    waiting_on = asyncio.create_task(watched.watch.ended(other, 20))
    await watched.until_waiting(4)

    started = time.monotonic()
    watched.jobs.cancel(job_id)

    assert await asyncio.gather(*waits) == [True, True, True]
    assert time.monotonic() - started < AT_ONCE_S
    assert not waiting_on.done()
    assert watched.watch.waiting == 1
    waiting_on.cancel()


async def test_a_job_that_has_ended_already_is_not_waited_for(watched: Watched) -> None:
    job_id = watched.jobs.submit()
    watched.jobs.cancel(job_id)

    assert await asyncio.wait_for(watched.watch.ended(job_id, 20), AT_ONCE_S)


async def test_a_job_that_is_gone_is_not_waited_for(watched: Watched) -> None:
    assert await asyncio.wait_for(watched.watch.ended("0" * 32, 20), AT_ONCE_S)


async def test_a_wait_ends_in_its_time(watched: Watched) -> None:
    job_id = watched.jobs.submit()

    assert await watched.watch.ended(job_id, 0.05) is False
    assert watched.watch.waiting == 0


async def test_a_start_wakes_who_waits_for_a_change_and_not_who_waits_for_the_end(watched: Watched) -> None:
    job_id = watched.jobs.submit()
    change = asyncio.create_task(watched.watch.changed(job_id, QUEUED, 20))
    end = asyncio.create_task(watched.watch.ended(job_id, 20))
    await watched.until_waiting(2)

    watched.start_job()

    assert await asyncio.wait_for(change, AT_ONCE_S)
    await watched.until_waiting(1)
    assert not end.done()
    watched.jobs.cancel(job_id)
    assert await asyncio.wait_for(end, AT_ONCE_S)


async def test_a_change_that_came_before_the_wait_is_seen(watched: Watched) -> None:
    job_id = watched.jobs.submit()
    watched.start_job()

    assert await asyncio.wait_for(watched.watch.changed(job_id, QUEUED, 20), AT_ONCE_S)
    assert not await watched.watch.changed(job_id, (Status.RUNNING, 1), 0.05)


async def test_a_sweep_finds_what_a_lost_stream_did_not_say(watched: Watched) -> None:
    job_id = watched.jobs.submit()
    wait = asyncio.create_task(watched.watch.ended(job_id, 20))
    await watched.until_waiting(1)

    # Both in one transaction, so that the watch cannot have read the stream in between.
    pipe = watched.client.pipeline(transaction=True)
    pipe.hset(watched.jobs.keys.job(job_id), "status", "cancelled")
    pipe.delete(watched.jobs.keys.done, watched.jobs.keys.moved)
    pipe.execute()

    assert await asyncio.wait_for(wait, SWEEP_S + 2)


async def test_streams_that_were_lost_wake_again_afterwards(watched: Watched) -> None:
    first, second = watched.jobs.submit(), watched.jobs.submit()
    wait = asyncio.create_task(watched.watch.ended(first, 20))
    await watched.until_waiting(1)
    watched.jobs.cancel(first)
    assert await wait
    watched.client.delete(watched.jobs.keys.done)

    wait = asyncio.create_task(watched.watch.ended(second, 20))
    await watched.until_waiting(1)
    watched.jobs.cancel(second)

    assert await asyncio.wait_for(wait, AT_ONCE_S)


async def test_many_ends_at_once_wake_everybody(watched: Watched) -> None:
    ids = [watched.jobs.submit() for _ in range(300)]
    waits = [asyncio.create_task(watched.watch.ended(job_id, 20)) for job_id in ids]
    await watched.until_waiting(300)

    for job_id in ids:
        watched.jobs.cancel(job_id)

    assert await asyncio.gather(*waits) == [True] * 300
    assert watched.watch.waiting == 0


async def test_a_cut_connection_is_made_again_and_nothing_is_missed(watched: Watched) -> None:
    job_id = watched.jobs.submit()
    wait = asyncio.create_task(watched.watch.ended(job_id, 20))
    await watched.until_waiting(1)

    watched.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    watched.jobs.cancel(job_id)

    assert await asyncio.wait_for(wait, AT_ONCE_S)
