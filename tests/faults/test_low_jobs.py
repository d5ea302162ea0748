"""Low jobs beside held calls, in whole workers: they fill them, and keep nobody waiting."""

import time

import httpx2

from shared.params import Params
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.lasting import lasting
from tests.faults.harness.look import Look
from tests.jobs import Caller as StoreCaller

SOON_S = 1.0
"""From a call to the start of its picture: a step of what is drawn, and the way there, on a busy machine."""
RINGS_WHILE_IDLE = 20


def submit_low(cluster: Cluster, look: Look, words: str, jobs: int, *, model: str = "light") -> list[str]:
    """Submit low jobs, and ring once, as a batch does."""
    caller = StoreCaller(cluster.store, PREFIX)
    made = [
        caller.submit(
            job_id=f"low{number}",
            model=model,
            owner="a batch",
            params=Params(prompt=words, seed=number, width=64, height=64),
            low=True,
        )
        for number in range(jobs)
    ]
    look.accepted.extend(made)
    return made


async def test_a_call_starts_at_once_in_workers_that_are_full_of_low_jobs(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    low = submit_low(cluster, look, "low slow:150", 6)
    await look.busy(2)

    for number in range(3):
        called_at = time.monotonic()
        answer = await caller.draw(f"held {number} slow:10")
        assert answer.status_code == httpx2.codes.OK
        drawn = await look.drawn(f"held {number} slow:10")
        assert drawn.at - called_at < SOON_S
        # What was begun is not given up, and goes on.
        ended = [event.job for event in cluster.events.all() if event.event == "abort"]
        assert ended == []

    ends = [await look.ended(job_id) for job_id in low]
    assert {(end["status"], end["attempt"], end["losses"]) for end in ends} == {("succeeded", "1", "0")}


async def test_low_jobs_take_no_step_while_a_call_is_drawn(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    worker = cluster.add_worker("alone", models=("wide",))
    with cluster.more(worker):
        (low,) = submit_low(cluster, look, "low slow:40", 1, model="wide")
        await look.stepping(low)
        job_id = await caller.submit("held slow:150", model="wide")
        await look.stepping(job_id)
        before = look.record(low)["step"]
        await look.ended(job_id)
        taken = int(look.record(low)["step"]) - int(before)
        end = await look.ended(low)

    assert taken <= 2, "but for those that were reported late, and the one after the end"
    assert (end["status"], end["attempt"]) == ("succeeded", "1")


async def test_nobody_is_rung_in_vain_for_low_jobs_that_nobody_takes(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    worker = cluster.add_worker("none", models=("wide",), WORKER__LOW_SLOTS="0")
    with cluster.more(worker):
        jobs = submit_low(cluster, look, "low slow:5", 30, model="wide")
        assert (await caller.draw("held slow:5", model="wide")).status_code == httpx2.codes.OK

        before = listened(cluster)
        await lasting(2)
        assert listened(cluster) - before < RINGS_WHILE_IDLE
        assert {look.record(job_id)["status"] for job_id in jobs} == {"queued"}

        taker = cluster.add_worker("taker", models=("wide",))
        with cluster.more(taker):
            ends = [await look.ended(job_id) for job_id in jobs]

    assert {(end["status"], end["worker"]) for end in ends} == {("succeeded", "taker")}


async def test_low_jobs_of_a_worker_that_dies_are_drawn_by_another(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    low = submit_low(cluster, look, "low slow:60", 4)
    await look.busy(2)

    cluster.nodes["w2"].kill()
    answer = await caller.draw("held slow:5")
    assert answer.status_code == httpx2.codes.OK
    ends = [await look.ended(job_id, 60) for job_id in low]

    assert {end["status"] for end in ends} == {"succeeded"}
    assert sorted(end["losses"] for end in ends) == ["0", "0", "0", "1"]


async def test_a_call_that_lost_its_worker_waits_for_no_low_job(cluster: Cluster, look: Look) -> None:
    """It is to run alone, so the low ones make way for it."""
    cluster.nodes["w2"].kill()
    low = submit_low(cluster, look, "low slow:400", 2)
    await look.busy(1)
    job_id = StoreCaller(cluster.store, PREFIX).submit(
        job_id="lost", model="light", params=Params(prompt="lost slow:5", seed=1, width=64, height=64)
    )
    cluster.store.hset(cluster.keys.job(job_id), "losses", 1)
    look.accepted.append(job_id)

    end = await look.ended(job_id)

    waited_s = (int(end["started_at"]) - int(end["created_at"])) / 1000
    assert waited_s < 3 * SOON_S
    assert look.outcomes(low[0]) == ["handed_back"]
    assert [(await look.ended(job))["attempt"] for job in low] == ["1", "1"]


def listened(cluster: Cluster) -> int:
    """Return how often workers have listened for rings so far."""
    return int(cluster.store.info("commandstats").get("cmdstat_brpop", {}).get("calls", 0))
