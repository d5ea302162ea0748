"""What a trace tells of attempts that did not succeed, and what the loss of its collector costs."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from signal import Signals

import pytest

from tests.collector import Collector, Told
from tests.faults.harness.caller import Caller
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.look import Look
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

REQUEST = "POST /v1/images/generations"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A service of its own that traces, and loses a worker's leases sooner than by default."""
    settings = {
        "TRACING__ENDPOINT": collector.url,
        "JOBS__LEASE_S": "1.5",
        "JOBS__HEARTBEAT_S": "0.3",
        "WORKER__DRAIN_S": "0.5",
    }
    with Cluster(tmp_path_factory.mktemp("traced"), **settings) as cluster:
        cluster.add_api("api-1")
        cluster.add_worker("w1")
        cluster.add_worker("w2")
        cluster.wait_ready()
        yield cluster


@pytest.fixture(autouse=True)
def _whole(traced: Cluster) -> Iterator[None]:
    yield
    traced.mend()


@pytest.fixture
async def asking(traced: Cluster) -> AsyncIterator[Caller]:
    async with Caller(traced.nodes["api-1"].url) as caller:
        yield caller


def attempts(collector: Collector, job_id: str, count: int) -> list[Told]:
    """The attempts at a job in order, all of one trace, when there are so many."""
    found = collector.wait_for("attempt", count, job_id=job_id)
    assert len({span.trace_id for span in found}) == 1
    return sorted(found, key=lambda span: span.began_at)


async def test_a_lost_attempt_and_the_one_after_it_are_in_the_trace_of_the_request(
    traced: Cluster, asking: Caller, collector: Collector
) -> None:
    look = Look(traced, asking.accepted)
    call = asyncio.create_task(asking.draw("a picture slow:300"))
    job_id = (await look.drawn("a picture slow:300")).job
    lost_name = await look.stepping(job_id)

    collector.wait_for("queue", job_id=job_id)  # what was not sent when a worker is killed is lost with it
    traced.nodes[lost_name].kill()
    response = await call
    lost, again = attempts(collector, job_id, 2)
    (request,) = collector.wait_for(REQUEST)
    (submit,) = collector.of("submit", job_id=job_id)
    queues = sorted(collector.wait_for("queue", 2, job_id=job_id), key=lambda span: span.began_at)

    assert response.status_code == 200
    assert {s.trace_id for s in (request, submit, lost, again, *queues)} == {request.trace_id}
    assert {span.parent for span in (lost, again, *queues)} == {submit.span_id}
    assert (lost.failed, lost.about["error.type"]) == (True, "worker_lost")
    assert (again.failed, again.about["darkroom.outcome"]) == (False, "succeeded")
    assert [span.about["darkroom.attempt"] for span in (lost, again)] == [1, 2]
    assert (lost.about["darkroom.worker"], again.about["darkroom.worker"]) == (
        lost_name,
        "w2" if lost_name == "w1" else "w1",
    )
    # By one clock, whoever told it: lost when its lease had lapsed, queued from that very instant on.
    assert 1.2 <= lost.seconds <= 4
    assert queues[1].began_at == lost.ended_at
    assert queues[1].ended_at == again.began_at
    lines = log_lines(traced, "attempt.lost", job_id)
    assert [(line["attempt"], line["worker"], line["trace_id"]) for line in lines] == [
        (1, lost_name, request.trace_id)
    ]
    assert lines[0]["request_id"] == response.headers["x-request-id"]


async def test_an_attempt_that_fails_is_an_error_without_the_words_of_it(
    asking: Caller, collector: Collector
) -> None:
    response = await asking.draw("a picture poison:raise")
    job_id = response.headers["location"][-32:]

    (attempt,) = attempts(collector, job_id, 1)
    (fail,) = [span for span in collector.wait_for("fail") if span.trace_id == attempt.trace_id]

    assert response.status_code == 500
    assert (attempt.failed, attempt.about["error.type"]) == (True, "generation_failed")
    assert fail.parent == attempt.span_id
    assert "raised" not in repr(collector.trace(attempt.trace_id))


async def test_a_worker_that_hands_a_job_back_says_so_in_the_trace_before_it_ends(
    traced: Cluster, asking: Caller, collector: Collector
) -> None:
    look = Look(traced, asking.accepted)
    job_id = await asking.submit("a picture slow:200")
    leaving = traced.nodes[await look.stepping(job_id)]

    leaving.send(Signals.SIGTERM)
    await look.ended(job_id)

    back, again = attempts(collector, job_id, 2)
    assert (back.failed, back.about["error.type"]) == (True, "handed_back")
    assert (again.failed, again.about["darkroom.attempt"]) == (False, 1)  # it was not spent


async def test_a_collector_that_hangs_keeps_no_worker_from_ending_in_time(traced: Cluster) -> None:
    with Collector(lambda handler: handler.rfile.read()) as deaf:
        node = traced.add_worker("w3", models=("wide",), TRACING__ENDPOINT=deaf.url)
        traced.wait_ready(node)
        async with Caller(traced.nodes["api-1"].url) as caller:
            answer = await caller.draw("a picture", model="wide")
        wait_until(lambda: deaf.bodies, what="a batch")

        node.send(Signals.SIGTERM)
        told_at = time.monotonic()
        wait_until(lambda: not node.running, 15, "the worker's end")

    assert answer.status_code == 200
    assert time.monotonic() - told_at < 10
    del traced.nodes["w3"]


def log_lines(cluster: Cluster, event: str, job_id: str) -> list[dict[str, object]]:
    """The lines of an event about a job, of all processes."""
    logs = [node.child.program.log.read_text(encoding="utf-8") for node in cluster.nodes.values()]
    return [json.loads(line) for log in logs for line in log.splitlines() if event in line and job_id in line]
