"""What a call tells a collector: one trace with its job, whatever the caller and the collector are like."""

import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from pydantic import SecretStr

from shared import tracing
from shared.redis_clients import sync_client
from shared.settings import TracingSettings
from tests.collector import Collector, Told, spans_of
from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until
from worker.trace import AttemptTrace

PATH = "/v1/images/generations"
SECRET = "the-collectors-own-password"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def traced(collector: Collector, serve: Serve) -> Iterator[Service]:
    """A service that traces, with the played worker."""
    configure(collector.url)
    yield serve()
    tracing.close()


def configure(url: str, **more: Any) -> None:
    settings = TracingSettings(endpoint=url, headers=SecretStr(f"authorization={SECRET}"), **more)
    tracing.configure(settings, "darkroom-api")


def body(prompt: str = "Black Swan", **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "size": "64x64", **more}


def sent(collector: Collector, count: int) -> list[Told]:
    """The spans of the only trace, when there are so many; a ring may come before or after the answer."""
    wait_until(lambda: len(collector.spans) >= count, what=f"{count} spans")
    (trace_id,) = {span.trace_id for span in collector.spans}
    return collector.trace(trace_id)


def test_a_held_call_is_one_trace_in_the_order_in_which_things_happen(
    traced: Service, collector: Collector
) -> None:
    with traced.worker.serving():
        answer = traced.caller.http.post(PATH, json=body(), headers={"x-request-id": "req_seen"})

    request, submit, ring, hold = sorted(sent(collector, 4), key=lambda s: s.began_at)

    assert answer.status_code == 200
    assert (request.name, request.kind, request.parent) == (f"POST {PATH}", "server", "")
    assert request.about["http.response.status_code"] == 200
    assert request.about["darkroom.request.id"] == "req_seen"
    assert (submit.name, submit.kind, submit.parent) == ("submit", "producer", request.span_id)
    assert submit.about["darkroom.job.id"] == answer.headers["x-job-id"]
    assert (ring.name, ring.kind, ring.parent) == ("ring", "client", submit.span_id)
    assert (hold.name, hold.kind, hold.parent) == ("hold", "internal", request.span_id)
    assert request.began_at <= submit.began_at <= submit.ended_at <= hold.began_at
    assert hold.ended_at <= request.ended_at
    assert {span.service for span in (request, submit, ring, hold)} == {"darkroom-api"}
    assert not any(span.failed for span in (request, submit, ring, hold))


def test_a_streamed_call_is_held_in_its_trace_too(traced: Service, collector: Collector) -> None:
    with traced.worker.serving():
        traced.caller.http.post(PATH, json=body(stream=True))

    spans = {span.name: span for span in sent(collector, 4)}

    assert spans["hold"].parent == spans[f"POST {PATH}"].span_id


def test_a_callers_own_trace_is_taken_up(traced: Service, collector: Collector) -> None:
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    given = {"traceparent": f"00-{trace_id}-{span_id}-01", "prefer": "respond-async"}

    answer = traced.caller.http.post(PATH, json=body(), headers=given)

    (request,) = collector.wait_for(f"POST {PATH}")
    (submit,) = collector.of("submit")
    assert (request.trace_id, request.parent) == (trace_id, span_id)
    carried = traced.worker.client.hget(traced.key("job", answer.headers["location"][-32:]), "trace")
    assert carried.decode() == f"00-{trace_id}-{submit.span_id}-01"


@pytest.mark.parametrize(
    "given",
    [
        "nonsense",
        "00-00000000000000000000000000000000-0000000000000000-01",
        "00-" + "a" * 4000,
        "ff-" + "1" * 32 + "-" + "2" * 16 + "-01",
    ],
)
def test_a_traceparent_that_is_none_begins_a_new_trace(
    traced: Service, collector: Collector, given: str
) -> None:
    answer = traced.caller.http.get("/v1/models", headers={"traceparent": given})

    (request,) = collector.wait_for("GET /v1/models")
    assert answer.status_code == 200
    assert request.parent == ""


def test_a_caller_who_does_not_want_a_trace_gets_none(traced: Service, collector: Collector) -> None:
    unsampled = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"

    answer = traced.caller.http.post(
        PATH, json=body(), headers={"traceparent": unsampled, "prefer": "respond-async"}
    )
    attempt = traced.worker.take()
    AttemptTrace(attempt).end("succeeded")
    traced.caller.http.get("/v1/models")
    collector.wait_for("GET /v1/models")

    assert answer.status_code == 202
    assert attempt.trace.endswith("-00")
    assert [span.name for span in collector.spans] == ["GET /v1/models"]


@pytest.mark.parametrize(
    ("path", "route"),
    [("{job}", "/v1/images/jobs/{job_id}"), ("{job}/result", "/v1/images/jobs/{job_id}/result")],
)
def test_a_span_is_named_by_its_route_whichever_way_it_went(
    traced: Service, collector: Collector, path: str, route: str
) -> None:
    answer = traced.caller.http.post(PATH, json=body(), headers={"prefer": "respond-async"})
    traced.worker.do()
    address = "/v1/images/jobs/" + path.format(job=answer.json()["id"])

    traced.caller.http.get(address)
    # Given twice, which is for the framework to understand.
    traced.caller.http.get(address, headers=[("prefer", "wait=0"), ("prefer", "wait=0")])

    told = collector.wait_for(f"GET {route}", 2)
    assert {(span.about["http.route"], span.about["url.path"]) for span in told} == {(route, address)}


def test_a_share_of_the_calls_can_be_traced(collector: Collector, serve: Serve) -> None:
    configure(collector.url, sample_ratio=0.0)
    service = serve()
    asked = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"

    service.caller.http.get("/v1/models")
    service.caller.http.get("/v1/usage", headers={"traceparent": asked})
    tracing.close()

    assert [span.name for span in collector.spans] == ["GET /v1/usage"]


def test_a_call_that_repeats_another_points_to_its_trace_and_leaves_the_job_where_it_is(
    traced: Service, collector: Collector
) -> None:
    headers = {"idempotency-key": "once", "prefer": "respond-async"}
    first = traced.caller.http.post(PATH, json=body(), headers=headers)
    second = traced.caller.http.post(PATH, json=body(), headers=headers)

    original, repeated = collector.wait_for("submit", 2)
    attempt = traced.worker.take()

    assert first.json()["id"] == second.json()["id"] == repeated.about["darkroom.job.id"]
    assert original.trace_id != repeated.trace_id
    assert (original.links, repeated.links) == ((), ((original.trace_id, original.span_id),))
    assert attempt.trace.startswith(f"00-{original.trace_id}-{original.span_id}-")


def test_a_refused_call_has_a_failed_span_and_no_word_of_its_prompt(
    collector: Collector, serve: Serve
) -> None:
    configure(collector.url)
    service = serve(models=())

    answer = service.caller.http.post(PATH, json=body("a marked prompt"))
    (submit,) = collector.wait_for("submit")
    (request,) = collector.wait_for(f"POST {PATH}")
    tracing.close()

    assert answer.status_code == 503
    assert (submit.failed, submit.about["error.type"]) == (True, "NoWorker")
    assert (request.failed, request.about["http.response.status_code"]) == (True, 503)
    assert "marked" not in repr(collector.spans)


def test_nothing_that_a_caller_sends_is_in_a_trace_but_what_identifies_it(
    traced: Service, collector: Collector
) -> None:
    caller = traced.another_caller("sk-marked-key", **{"openai-organization": "marked-organization"})
    with traced.worker.serving():
        caller.http.post(PATH, json=body("a marked prompt", negative_prompt="marked too", user="marked-user"))
    caller.http.get("/v1/images/jobs?limit=3&api_key=marked-key")

    collector.wait_for("GET /v1/images/jobs")
    collector.wait_for(f"POST {PATH}")

    assert "marked" not in repr(collector.spans)
    assert collector.of("GET /v1/images/jobs")[0].about["url.query"] == "REDACTED"
    assert {headers["authorization"] for headers in collector.headers} == {SECRET}


def test_probes_are_not_traced(traced: Service, collector: Collector) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/v1/models"):
        traced.caller.http.get(path)

    collector.wait_for("GET /v1/models")

    assert [span.name for span in collector.spans] == ["GET /v1/models"]


def test_an_attempt_takes_up_the_trace_of_its_job_by_the_clock_of_redis(
    traced: Service, collector: Collector
) -> None:
    traced.caller.http.post(PATH, json=body(), headers={"prefer": "respond-async"})
    clock = sync_client(traced.api.settings.redis)
    attempt = traced.worker.take()

    trace = AttemptTrace(attempt)
    began_at = time.perf_counter()
    with trace.during("deliver"), trace.during("finish"):
        traced.worker.finish(attempt)
    trace.stage("denoise", began_at, time.perf_counter())
    trace.end("succeeded")
    seconds, micros = clock.time()
    clock.close()

    (whole,) = collector.wait_for("attempt")
    (submit,) = collector.of("submit")
    spans = {span.name: span for span in collector.trace(submit.trace_id)}
    queue, deliver, finish = spans["queue"], spans["deliver"], spans["finish"]
    assert trace.ids == {"trace_id": submit.trace_id, "span_id": whole.span_id}
    assert queue.parent == whole.parent == submit.span_id
    assert spans["engine.denoise"].parent == deliver.parent == whole.span_id
    assert finish.parent == deliver.span_id
    assert (queue.began_at, queue.ended_at) == (attempt.queued_at * 10**6, attempt.claimed_at * 10**6)
    assert whole.began_at == queue.ended_at
    order = [
        whole.began_at,
        deliver.began_at,
        finish.began_at,
        finish.ended_at,
        deliver.ended_at,
        whole.ended_at,
    ]
    assert order == sorted(order)
    assert whole.ended_at <= seconds * 10**9 + micros * 10**3 + 10**6  # ms are as fine as a claim tells
    assert whole.about["darkroom.outcome"] == "succeeded"


def refuse(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(503)
    handler.send_header("retry-after", "86400")
    handler.end_headers()


def never_end(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", str(2**40))
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        return


def never_answer(handler: BaseHTTPRequestHandler) -> None:
    handler.rfile.read()  # until the service goes


def talk_nonsense(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff" * 2000)


@pytest.mark.parametrize("misbehave", [refuse, never_end, never_answer, talk_nonsense])
def test_a_collector_that_misbehaves_costs_its_traces_and_nothing_else(serve: Serve, misbehave: Any) -> None:
    with Collector(misbehave) as collector:
        configure(collector.url)
        service = serve()
        with service.worker.serving():
            times = [draw_s(service)]
            wait_until(lambda: collector.bodies, what="a batch")
            times += [draw_s(service) for _ in range(5)]
        began_at = time.monotonic()
        tracing.close()

    assert max(times) < 2
    assert time.monotonic() - began_at < 3


def test_a_collector_that_is_away_costs_its_traces_and_nothing_else(serve: Serve) -> None:
    with Collector() as gone:
        url = gone.url
    configure(url)
    service = serve()

    with service.worker.serving():
        times = [draw_s(service) for _ in range(5)]
    began_at = time.monotonic()
    tracing.close()

    assert max(times) < 2
    assert time.monotonic() - began_at < 3


def draw_s(service: Service) -> float:
    began_at = time.monotonic()
    assert service.caller.http.post(PATH, json=body()).status_code == 200
    return time.monotonic() - began_at


def test_what_waits_to_be_sent_is_bounded_and_the_oldest_goes_first() -> None:
    let_go = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        let_go.wait(20)
        collector.spans += spans_of(collector.bodies[-1])
        handler.send_response(200)
        handler.end_headers()

    with Collector(wait) as collector:
        configure(collector.url)
        began_at = time.perf_counter()
        for number in range(8_000):
            tracing.current().begin("one of many", about={"darkroom.number": number}).end()
        took_s = time.perf_counter() - began_at
        let_go.set()
        wait_until(lambda: any(s.about["darkroom.number"] == 7_999 for s in collector.spans), 20, "the last")
        tracing.close()

    numbers = sorted(span.about["darkroom.number"] for span in collector.spans)
    assert len(numbers) <= 6_000
    assert took_s < 15  # a span costs tens of microseconds, whoever does not take it
