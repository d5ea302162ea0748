"""The benchmark of the store still runs, on the service's own clients and scripts."""

from collections.abc import Iterator

import pytest

from benchmarks.store.__main__ import cells
from benchmarks.store.cycler import rate
from benchmarks.store.measures import PICTURE, calls, fill, fleet, memory, picture, readers_us
from benchmarks.store.played import Played, served
from cli.valkey import EmbeddedServer

Store = tuple[Played, EmbeddedServer]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with served() as found:
        yield found


def queued(played: Played) -> int:
    length: int = played.client.zcard(played.keys.queue("light"))
    return length


def test_every_call_costs_something_and_the_queue_stays_as_long(store: Store) -> None:
    played, _ = store

    cost = calls(played, owners=3, queued=20, count=10)

    assert min(cost.submit, cost.claim, cost.finish, cost.renew, cost.hold) > 0
    assert cost.job == cost.submit + cost.claim + cost.finish
    assert queued(played) == 20


def test_processes_do_whole_jobs_beside_those_that_wait(store: Store) -> None:
    played, server = store
    fill(played, owners=3, queued=20)

    found = rate(played, server.url, processes=2, owners=3, seconds=0.2)

    assert found.jobs_a_second > 0
    assert 0 < found.server_share <= 1.5
    assert queued(played) == 20


def test_a_fleet_is_known_to_the_store(store: Store) -> None:
    played, _ = store

    found = fleet(played, workers=5, held=2)

    assert min(found.renew, found.progress, found.reap) > 0
    assert played.client.zcard(played.keys.serving("light")) == 6  # and the one that every measurement has
    assert played.client.zcard(played.keys.leases) == 10


def test_processes_that_wait_cost_more_than_none(store: Store) -> None:
    played, server = store

    assert readers_us(played, server.url, 8, 50) > readers_us(played, server.url, 0, 50)


def test_a_picture_takes_its_bytes_and_little_more(store: Store) -> None:
    played, _ = store

    found = picture(played, 4)

    assert found.memory_bytes > len(PICTURE) > 0.5 * found.memory_bytes
    assert found.file_bytes > len(PICTURE)
    assert min(found.write_ms, found.read_ms) > 0


def test_a_job_takes_memory_while_it_waits_and_after(store: Store) -> None:
    played, _ = store

    taken = memory(played, owners=10, count=300)

    assert min(taken.queued, taken.finished, taken.file) > 300


def test_the_rows_are_few_and_many_owners_and_jobs() -> None:
    assert cells(1) == [(2, 10), (2, 10_000), (1000, 10), (1000, 10_000)]
