"""Rings are doorbells: losing one costs a tick, a thousand too many cost nothing."""

from collections import Counter

from shared.bell.ring import Doorbell
from shared.settings import RedisSettings
from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.look import Look
from tests.waiting import wait_until

BELL = f"{PREFIX}ring:light"


async def test_lost_rings_are_rung_again(cluster: Cluster, caller: Caller, look: Look) -> None:
    busy = [await caller.submit(f"busy {i} slow:40") for i in range(2)]
    for job_id in busy:
        await look.stepping(job_id)
    jobs = [await caller.submit(f"lost {i}") for i in range(4)]

    cluster.broker.flushdb()
    ends = [await look.ended(job_id) for job_id in [*busy, *jobs]]

    assert {end["status"] for end in ends} == {"succeeded"}


async def test_a_job_whose_ring_never_arrives_starts_at_the_next_tick(cluster: Cluster, look: Look) -> None:
    mute = cluster.add_api("mute", proxied=True, REDIS__BROKER_URL="redis://127.0.0.1:1/0")
    with cluster.more(mute):
        async with Caller(mute.url, accepted=look.accepted) as unheard:
            for number in range(3):
                job_id = await unheard.submit(f"unheard {number}")
                end = await look.ended(job_id)

                assert end["status"] == "succeeded"
                waited_s = (int(end["started_at"]) - int(end["created_at"])) / 1000
                times.record("ring-lost", waited_s, 1)


async def test_tripled_and_spurious_rings_start_no_job_twice(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    bell = Doorbell(RedisSettings(url=cluster.server.url, prefix=PREFIX))
    jobs = []
    for number in range(10):
        jobs.append(await caller.submit(f"tripled {number} slow:5"))
        bell.ring("light", 2)
    bell.ring("light", 1000)
    for job_id in jobs:
        assert (await look.ended(job_id))["status"] == "succeeded"
    wait_until(lambda: cluster.broker.llen(BELL) == 0, 20, "every ring to be answered")
    bell.close()

    starts = Counter(event.job for event in cluster.events.all() if event.event == "start")
    assert {starts[job_id] for job_id in jobs} == {1}
    times.held("rings-repeated")
