"""One trace through real processes, from the request to the last stage of the engine, and logs beside it."""

import json
import secrets
from itertools import pairwise
from typing import Any

import httpx2
import openai
import pytest

from tests.collector import Collector, Told
from tests.service import RunningService
from tests.waiting import wait_until

PATH = "/v1/images/generations"
STAGES = (
    "engine.queue",
    "engine.load",
    "engine.denoise",
    "engine.decode",
    "engine.inspect",
    "engine.encode",
    "deliver",
)
# A clock read in whole milliseconds, and a claim's reply on its way.
SLACK_NS = 5_000_000


def draw(service: RunningService, headers: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
    body = {"prompt": "Black Swan", "size": "64x64", **fields}
    answer = httpx2.post(f"{service.url}{PATH}", json=body, headers=headers, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer


def spans_of(collector: Collector, job_id: str, count: int) -> dict[str, Told]:
    """The trace of a job that was drawn once, by name, when all of it has come."""
    (submit,) = collector.wait_for("submit", job_id=job_id)
    wait_until(lambda: len(collector.trace(submit.trace_id)) >= count, what=f"{count} spans")
    spans = collector.trace(submit.trace_id)
    assert len(spans) == count, [span.name for span in spans]
    return {span.name: span for span in spans}


def test_a_request_is_one_trace_from_http_through_the_queue_into_the_stages_of_the_engine(
    tiny_service: RunningService, collector: Collector
) -> None:
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)

    answer = draw(tiny_service, {"traceparent": f"00-{trace_id}-{caller}-01"}, quality="high")
    spans = spans_of(collector, answer.headers["x-job-id"], 14)

    parents = {span.span_id: span.name for span in spans.values()} | {caller: "the caller"}
    assert {span.trace_id for span in spans.values()} == {trace_id}
    assert {name: parents[span.parent] for name, span in spans.items()} == {
        f"POST {PATH}": "the caller",
        "submit": f"POST {PATH}",
        "ring": "submit",
        "hold": f"POST {PATH}",
        "queue": "submit",
        "attempt": "submit",
        **dict.fromkeys(STAGES, "attempt"),
        "finish": "deliver",
    }
    in_the_api = {name for name, span in spans.items() if span.service == "darkroom-api"}
    assert in_the_api == {f"POST {PATH}", "submit", "ring", "hold"}
    assert not any(span.failed for span in spans.values())


def test_the_spans_follow_each_other_as_it_happened_and_take_what_the_log_says(
    tiny_service: RunningService, collector: Collector
) -> None:
    answer = draw(tiny_service, quality="high", size="128x96")
    job_id = answer.headers["x-job-id"]
    spans = spans_of(collector, job_id, 14)
    (line,) = wait_until(
        lambda: [e for e in tiny_service.worker_events("attempt.ended") if e["job_id"] == job_id]
    )

    request, attempt = spans[f"POST {PATH}"], spans["attempt"]
    in_turn = [spans[name] for name in ("queue", *STAGES)]
    assert all(earlier.ended_at <= later.began_at + SLACK_NS for earlier, later in pairwise(in_turn))
    # It is queued before whoever submits it hears of it.
    assert spans["submit"].began_at <= spans["queue"].began_at + SLACK_NS
    assert spans["queue"].ended_at == attempt.began_at
    assert attempt.began_at <= spans["engine.queue"].began_at
    assert spans["deliver"].ended_at <= attempt.ended_at
    assert attempt.ended_at <= request.ended_at + SLACK_NS + int(1e9)  # it is answered from `finish` on
    assert request.began_at <= spans["submit"].began_at
    assert spans["hold"].ended_at <= request.ended_at

    # What is computed beside the ticks may be counted twice in the line.
    assert spans["engine.denoise"].seconds >= 0.9 * line["denoise_s"]
    for stage in ("load", "decode", "inspect", "encode"):
        assert spans[f"engine.{stage}"].seconds == pytest.approx(line[f"{stage}_s"], abs=1e-3)
    assert spans["deliver"].seconds == pytest.approx(line["deliver_s"], abs=5e-3)
    assert spans["queue"].seconds == pytest.approx(line["waited_s"], abs=1e-6)
    assert attempt.seconds == pytest.approx(line["total_s"], abs=0.05)
    about = {name: attempt.about[f"darkroom.{name}"] for name in ("model", "width_px", "height_px", "images")}
    assert about == {"model": "tiny", "width_px": 128, "height_px": 96, "images": 1}
    assert (attempt.about["darkroom.attempt"], attempt.about["darkroom.outcome"]) == (1, "succeeded")


def test_each_image_has_stages_of_its_own(tiny_service: RunningService, collector: Collector) -> None:
    job_id = draw(tiny_service, n=2).headers["x-job-id"]

    (submit,) = collector.wait_for("submit", job_id=job_id)
    wait_until(lambda: len(collector.trace(submit.trace_id)) == 17, what="17 spans")

    names = [span.name for span in collector.trace(submit.trace_id)]
    assert [names.count(f"engine.{stage}") for stage in ("decode", "inspect", "encode")] == [2, 2, 2]


def test_the_logs_of_both_sides_have_one_line_each_with_the_ids_of_the_trace(
    tiny_service: RunningService, collector: Collector
) -> None:
    answer = draw(tiny_service)
    job_id, request_id = answer.headers["x-job-id"], answer.headers["x-request-id"]
    spans = spans_of(collector, job_id, 14)

    (request,) = wait_until(lambda: lines(tiny_service, "request.answered", job_id))
    (attempt,) = wait_until(lambda: lines(tiny_service, "attempt.ended", job_id))
    (submitted,) = lines(tiny_service, "job.submitted", job_id)

    ids = [(line["trace_id"], line["request_id"]) for line in (request, submitted, attempt)]
    assert ids == [(spans["attempt"].trace_id, request_id)] * 3
    assert request["span_id"] == submitted["span_id"] == spans[f"POST {PATH}"].span_id
    assert attempt["span_id"] == spans["attempt"].span_id
    assert 0 <= request["submit_ms"] + request["held_ms"] <= request["duration_ms"] + 0.2
    stages = ("queue", "load", "denoise", "decode", "inspect", "encode", "deliver")
    assert 0 < sum(attempt[f"{stage}_s"] for stage in stages) <= attempt["total_s"] + 1e-3


def lines(service: RunningService, event: str, job_id: str) -> list[dict[str, Any]]:
    events = service.worker_events(event) + service.api_events(event)
    return [line for line in events if line.get("job_id") == job_id]


def test_no_prompt_no_key_and_no_user_is_in_any_log_at_any_level(
    tiny_service: RunningService, collector: Collector
) -> None:
    secret = f"marked{secrets.token_hex(8)}"
    headers = {
        "authorization": f"Bearer sk-{secret}",
        "openai-organization": f"org-{secret}",
        "openai-project": f"proj_{secret}",
        "idempotency-key": f"once-{secret}",
        "cookie": f"session={secret}",
    }
    fields = {"prompt": f"a {secret} swan", "negative_prompt": f"no {secret}", "user": f"user-{secret}"}

    job_id = draw(tiny_service, headers, **fields).headers["x-job-id"]
    with openai.OpenAI(api_key=f"sk-{secret}", base_url=f"{tiny_service.url}/v1") as client:
        with client.images.generate(prompt=secret, size="64x64", stream=True, partial_images=2) as events:
            assert [event.type for event in events][-1] == "image_generation.completed"
        for wrong in ({"size": secret}, {"model": secret}, {"n": 99}, {"extra_body": {"image": secret}}):
            with pytest.raises(openai.APIStatusError):
                client.images.generate(**{"prompt": f"a {secret} swan", "size": "64x64", **wrong})
    for content in (b'{"prompt": "%s' % secret.encode(), json.dumps({"prompt": [secret]}).encode()):
        sent = {**headers, "content-type": "application/json"}
        refused = httpx2.post(f"{tiny_service.url}{PATH}", content=content, headers=sent, trust_env=False)
        assert refused.status_code == 422
    httpx2.get(f"{tiny_service.url}/v1/usage?api_key={secret}", headers=headers, trust_env=False)

    wait_until(lambda: lines(tiny_service, "attempt.ended", job_id))
    collector.wait_for("attempt", job_id=job_id)
    wait_until(lambda: collector.of("GET /v1/usage"))
    levels = set()
    for child in (tiny_service.api, tiny_service.worker):
        log = child.program.log.read_text(encoding="utf-8")
        assert secret not in log
        levels |= {json.loads(line)["level"] for line in log.splitlines() if line.startswith("{")}
    assert "debug" in levels  # or it would not have been all of it
    assert secret not in repr(collector.spans)
