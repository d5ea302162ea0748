"""Valkey that is killed, frozen, or gone for long."""

import asyncio
import time
from signal import SIGCONT, SIGSTOP

import pytest

from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.lasting import lasting, long_run
from tests.faults.harness.look import Look
from tests.waiting import wait_until_async


async def first_accepted(caller: Caller, prompt: str, timeout_s: float = 30) -> str:
    """Submit again and again until the service takes it."""

    async def accepted() -> str:
        response = await caller.draw(prompt, headers={"prefer": "respond-async"}, timeout_s=10)
        assert response.status_code in (202, 503), response.text
        return str(response.json()["id"]) if response.status_code == 202 else ""

    return await wait_until_async(accepted, timeout_s, "a submission to be accepted")


async def refused(caller: Caller) -> float:
    """Submit while nobody can take it; return the seconds to the refusal."""
    asked_at = time.monotonic()
    response = await caller.draw("refused", headers={"prefer": "respond-async"}, timeout_s=10)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")
    assert 1 <= int(response.headers["retry-after"]) <= 60
    return time.monotonic() - asked_at


@pytest.mark.timeout(150)
@pytest.mark.parametrize("away_s", [1, pytest.param(60, marks=long_run)])
async def test_valkey_killed_under_load_loses_nothing_and_runs_nothing_twice(
    cluster: Cluster, caller: Caller, look: Look, away_s: float
) -> None:
    pids = {name: node.pid for name, node in cluster.nodes.items()}
    # Two run and two wait in the queue; of all of them, some end while it is away.
    calls = [asyncio.create_task(caller.draw(f"{i} slow:60", timeout_s=120)) for i in range(4)]
    await look.taken(4)
    await look.busy(2)

    cluster.server.kill()
    times.record("valkey-away-refuses", await refused(caller), 3)
    await lasting(away_s)
    cluster.server.start()
    back_at = time.monotonic()
    job_id = await first_accepted(caller, "the first afterwards")
    times.record("valkey-killed-takes-work", time.monotonic() - back_at, 2)
    await asyncio.wait(calls, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    times.record("valkey-killed-waiters", time.monotonic() - back_at, 3)
    responses = await asyncio.gather(*calls)
    started = await look.started(job_id)
    await look.ended(job_id)

    assert {response.status_code for response in responses} == {200}
    assert {tuple(look.outcomes(i)) for i in look.accepted} == {("succeeded",)}
    assert {name: node.pid for name, node in cluster.nodes.items() if node.running} == pids
    assert started.at > back_at


async def test_valkey_killed_while_idle_is_served_again_at_once(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    cluster.server.kill()
    await lasting(1)
    cluster.server.start()
    back_at = time.monotonic()

    job_id = await first_accepted(caller, "the first afterwards")
    started = await look.started(job_id)

    assert (await look.ended(job_id))["status"] == "succeeded"
    times.record("valkey-killed-works", started.at - back_at, 2)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("frozen_s", [4.5, pytest.param(10, marks=long_run)])
@pytest.mark.slow
async def test_frozen_valkey_costs_no_job_a_second_run(
    cluster: Cluster, caller: Caller, look: Look, frozen_s: float
) -> None:
    calls = [asyncio.create_task(caller.draw(f"{i} slow:150")) for i in range(6)]
    await look.taken(6)
    await look.busy(2)

    cluster.server.process.send_signal(SIGSTOP)
    times.record("valkey-away-refuses", await refused(caller), 3)
    await lasting(frozen_s)
    cluster.server.process.send_signal(SIGCONT)
    thawed_at = time.monotonic()
    job_id = await first_accepted(caller, "the first afterwards")
    times.record("valkey-frozen-takes-work", time.monotonic() - thawed_at, 3)
    await asyncio.wait(calls, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    times.record("valkey-frozen-waiters", time.monotonic() - thawed_at, 3)
    responses = await asyncio.gather(*calls)
    await look.ended(job_id)

    assert {response.status_code for response in responses} == {200}
    assert {tuple(look.outcomes(i)) for i in look.accepted} == {("succeeded",)}
