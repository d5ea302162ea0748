"""Commands that are done in Valkey and whose replies never arrive: somebody repeats them."""

import hashlib

import pytest

from shared.jobs import scripts
from tests.faults import times
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster, Node
from tests.faults.harness.look import Look
from tests.waiting import wait_until_async


def sha(script: str) -> bytes:
    """What a client sends instead of a script's text."""
    return hashlib.sha1(scripts.load(script).source.encode(), usedforsecurity=False).hexdigest().encode()


def made(cluster: Cluster) -> int:
    """How many jobs were ever made."""
    return int(cluster.store.get(cluster.keys.key("order")) or 0)


async def test_a_submission_whose_reply_is_lost_is_one_job(cluster: Cluster, look: Look) -> None:
    lossy = cluster.add_api("lossy", proxied=True)
    with cluster.more(lossy):
        async with Caller(lossy.url, accepted=look.accepted) as unlucky:
            await unlucky.submit("so that the script is known")
            before = made(cluster)

            lossy.wire.lose_replies(sha("submit"), 1)
            repeated_by_library = await unlucky.draw("lost once")
            key = {"Idempotency-Key": "lost to the caller"}
            lossy.wire.lose_replies(sha("submit"), 2)
            failed = await unlucky.draw("lost twice", headers=key)
            repeated_by_caller = await unlucky.draw("lost twice", headers=key)

    assert repeated_by_library.status_code == 200
    assert (failed.status_code, failed.json()["error"]["code"]) == (503, "store_unavailable")
    assert repeated_by_caller.status_code == 200
    assert made(cluster) == before + 2
    times.held("replies-lost")


@pytest.mark.timeout(120)
@pytest.mark.slow
async def test_a_workers_command_whose_reply_is_lost_takes_effect_once(
    cluster: Cluster, caller: Caller, look: Look
) -> None:
    lossy = cluster.add_worker("lossy", models=("wide",), proxied=True)
    with cluster.more(lossy):
        await look.ended(await caller.submit("so that the script is known", model="wide"))
        for script in ("claim", "finish", "renew"):
            # One loss is mended by the client library; four are beyond it.
            for losses in (1, 4):
                lossy.wire.lose_replies(sha(script), losses)
                job_id = await caller.submit(f"{script} {losses} slow:30", model="wide")
                end = await look.ended(job_id)
                await wait_until_async(lambda: nothing_to_lose(lossy), 10, "the losses")

                assert (script, losses, end["status"], look.outcomes(job_id)) == (
                    script,
                    losses,
                    "succeeded",
                    ["succeeded"],
                )
                assert look.announced(job_id) == ["succeeded"]
    times.held("replies-lost")


async def nothing_to_lose(node: Node) -> bool:
    return node.wire.replies_to_lose == 0
