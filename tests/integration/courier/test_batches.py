"""Batches drawn by a courier: every line is answered once, in its order, as a call would have been."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import OpenAI
from openai.types import Batch

from cli.keyholder import Keyholder
from courier.batches.clerk import Clerk
from tests.http_caller import GENERATIONS
from tests.integration.conftest import Serve, Service
from tests.odd_pictures import plain
from tests.waiting import wait_until

EDITS = "/v1/images/edits"
Json = dict[str, Any]
QUICK = {"look_s": 0.05}


@dataclass
class Drawn:
    """A batch that has ended, and what its files say."""

    batch: Batch
    output: list[Json]
    errors: list[Json]

    @property
    def counts(self) -> tuple[int, int, int]:
        counts = self.batch.request_counts
        assert counts is not None
        return counts.total, counts.completed, counts.failed

    @property
    def by_id(self) -> dict[str, Json]:
        return {line["custom_id"]: line for line in [*self.output, *self.errors]}


def line(custom_id: str, url: str = GENERATIONS, **body: Any) -> Json:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {"prompt": custom_id, **body}}


def jsonl(lines: Sequence[Json]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


class Batching:
    """A service, a courier's clerk beside it, and the official client."""

    def __init__(self, service: Service, client: OpenAI) -> None:
        self.service = service
        self.client = client

    def begin(self, lines: Sequence[Json] | bytes, endpoint: str = GENERATIONS, **more: Any) -> Batch:
        content = lines if isinstance(lines, bytes) else jsonl(lines)
        file = self.client.files.create(file=("lines.jsonl", content), purpose="batch")
        return self.client.batches.create(
            input_file_id=file.id,
            endpoint=endpoint,  # type: ignore[arg-type]
            completion_window="24h",
            **more,
        )

    def wait(self, batch: Batch, status: str) -> Batch:
        def there() -> Batch | None:
            now = self.client.batches.retrieve(batch.id)
            return now if now.status == status else None

        return wait_until(there, 30, f"a batch that is {status}")

    def drawn(self, batch: Batch, status: str = "completed") -> Drawn:
        ended = self.wait(batch, status)
        return Drawn(ended, self.lines(ended.output_file_id), self.lines(ended.error_file_id))

    def lines(self, file_id: str | None) -> list[Json]:
        if file_id is None:
            return []
        return [json.loads(each) for each in self.client.files.content(file_id).content.splitlines()]

    @contextmanager
    def clerk(self, **of_the_api: Any) -> Iterator[None]:
        """Run a courier's; ``of_the_api`` are settings of that section that only the courier has."""
        settings = self.service.api.settings
        api = settings.api.model_copy(update=of_the_api)
        clerk = Clerk(settings.model_copy(update={"api": api}))
        clerk.start()
        try:
            yield
        finally:
            clerk.stop()
            assert not clerk.is_alive()


Begin = Callable[..., Batching]


@pytest.fixture
def batching(serve: Serve, tmp_path: Path) -> Iterator[Begin]:
    """A function that starts a service with a place for files; ``batches`` are more settings."""
    clients: list[OpenAI] = []

    def start(key: str = "key", **sections: dict[str, Any]) -> Batching:
        batches = {**QUICK, **sections.pop("batches", {})}
        service = serve(results={"urls": str(tmp_path / "objects")}, batches=batches, **sections)
        service.worker.takes_low = True
        service.worker.beat()
        clients.append(OpenAI(base_url=f"{service.api.url}/v1", api_key=key, max_retries=3))
        return Batching(service, clients[-1])

    yield start
    for client in clients:
        client.close()


def test_every_line_is_answered_in_its_order(batching: Begin) -> None:
    service = batching(batches={"window": 8})
    lines = [line(f"line {i}", n=1 + i % 2, seed=i) for i in range(40)]
    with service.clerk(), service.service.worker.serving():
        drawn = service.drawn(service.begin(lines, metadata={"a": "b"}))

    assert drawn.counts == (40, 40, 0)
    assert drawn.errors == []
    assert (drawn.batch.error_file_id, drawn.batch.metadata) == (None, {"a": "b"})
    assert [each["custom_id"] for each in drawn.output] == [f"line {i}" for i in range(40)]
    for i, each in enumerate(drawn.output):
        assert set(each) == {"id", "custom_id", "response", "error"}
        assert (each["error"], each["response"]["status_code"]) == (None, 200)
        assert set(each["response"]["body"]) == {"created", "data", "usage"}
        pictures = [base64.b64decode(image["b64_json"]) for image in each["response"]["body"]["data"]]
        assert pictures == [f"line {i} {i + j}".encode() for j in range(1 + i % 2)]
    assert len({each["id"] for each in drawn.output}) == 40
    usage = drawn.batch.usage
    assert usage is not None
    assert usage.total_tokens == sum(
        each["response"]["body"]["usage"]["total_tokens"] for each in drawn.output
    )
    for name in ("in_progress_at", "finalizing_at", "completed_at"):
        assert getattr(drawn.batch, name) is not None


def test_a_line_that_is_wrong_is_answered_as_its_call_would_be(batching: Begin) -> None:
    service = batching(models=("tiny",))
    wrong = [
        line("good"),
        line("no such model", model="nope"),
        line("too many", n=9),
        line("no prompt", prompt=" "),
        line("edits", image="x"),
        line("streams", stream=True),
        line("hooks", webhook={"url": "https://example.com", "events": ["job.failed"]}),
        line("null stream", stream=None, webhook=None),
    ]
    with service.clerk(), service.service.worker.serving():
        drawn = service.drawn(service.begin(wrong))
        calls = {each["custom_id"]: service.service.caller.generate(**each["body"]) for each in wrong[1:5]}

    assert drawn.counts == (8, 2, 6)
    assert [each["custom_id"] for each in drawn.output] == ["good", "null stream"]
    assert [each["custom_id"] for each in drawn.errors] == [each["custom_id"] for each in wrong[1:7]]
    for custom_id, call in calls.items():
        response = drawn.by_id[custom_id]["response"]
        assert (response["status_code"], response["body"]) == (call.status_code, call.json())
    for custom_id, param in (("streams", "stream"), ("hooks", "webhook")):
        response = drawn.by_id[custom_id]["response"]
        assert response["status_code"] == 400
        assert response["body"]["error"]["code"] == "unsupported_parameter"
        assert response["body"]["error"]["param"] == param


def test_a_job_that_fails_is_an_error_line_with_its_code(batching: Begin) -> None:
    service = batching()
    with service.clerk():
        batch = service.begin([line("one"), line("two")])
        for _ in range(2):
            attempt = service.service.worker.take()
            if '"one"' in attempt.params:
                service.service.worker.fail(attempt)
            else:
                service.service.worker.finish(attempt)
        drawn = service.drawn(batch)

    assert drawn.counts == (2, 1, 1)
    response = drawn.by_id["one"]["response"]
    assert (response["status_code"], response["body"]["error"]["code"]) == (500, "generation_failed")


@pytest.mark.parametrize(
    ("content", "code", "number"),
    [
        (b"\n \n", "empty_file", None),
        (b"{}\n", "missing_required_parameter", 1),
        (b"[]\n", "invalid_json_line", 1),
        (b"\n{\n", "invalid_json_line", 2),
        (b"[" * 10_000, "invalid_json_line", 1),
        (jsonl([line("a"), line("a")]), "duplicate_custom_id", 2),
        (jsonl([{**line("a"), "custom_id": 7}]), "invalid_custom_id", 1),
        (jsonl([{**line("a"), "custom_id": ""}]), "invalid_custom_id", 1),
        (jsonl([line("x" * 513)]), "invalid_custom_id", 1),
        (jsonl([{**line("a"), "method": "GET"}]), "invalid_method", 1),
        (jsonl([line("a", EDITS)]), "invalid_url", 1),
        (jsonl([{**line("a"), "body": "x"}]), "invalid_body", 1),
        (jsonl([line(str(i)) for i in range(6)]), "too_many_lines", 6),
        (jsonl([line("a"), line("b", prompt="x" * 70_000)]), "line_too_long", 2),
    ],
)
def test_a_file_that_is_wrong_draws_nothing(
    batching: Begin, content: bytes, code: str, number: int | None
) -> None:
    service = batching(batches={"max_lines": 5}, api={"max_body_bytes": 2048})
    with service.clerk():
        failed = service.wait(service.begin(content), "failed")

    assert failed.errors is not None
    assert failed.errors.object == "list"
    assert [(each.code, each.line) for each in failed.errors.data or []] == [(code, number)]
    assert failed.failed_at is not None
    assert service.service.worker.claim() is None
    # And the file may go.
    assert service.client.files.delete(failed.input_file_id).deleted


def test_lines_end_as_they_like(batching: Begin) -> None:
    service = batching()
    lines = [line("a"), line("b"), line("c")]
    content = b"\n\r\n" + b"\r\n\n".join(json.dumps(each).encode() for each in lines)
    with service.clerk(), service.service.worker.serving():
        drawn = service.drawn(service.begin(content))

    assert [each["custom_id"] for each in drawn.output] == ["a", "b", "c"]


def test_addresses_live_as_long_as_their_file(batching: Begin) -> None:
    service = batching()
    worker = service.service.worker
    with service.clerk(), worker.serving():
        batch = service.begin(
            [line("a", response_format="url", seed=1), line("b", seed=2)],
            output_expires_after={"anchor": "created_at", "seconds": 7200},
        )
        drawn = service.drawn(batch)

    url = drawn.by_id["a"]["response"]["body"]["data"][0]["url"]
    assert service.service.caller.http.get(url).content == b"a 1"
    assert urlsplit(url).netloc == urlsplit(service.service.api.url).netloc
    assert drawn.by_id["b"]["response"]["body"]["data"][0]["b64_json"]
    output = service.client.files.retrieve(drawn.batch.output_file_id or "")
    assert output.expires_at == output.created_at + 7200
    assert output.purpose == "batch_output"
    objects = service.service.key("objects")
    now = worker.client.time()[0]
    due = {name.decode(): at / 1000 for name, at in worker.client.zrange(objects, 0, -1, withscores=True)}
    pictures = sorted(at for name, at in due.items() if name.startswith("pictures/"))
    # That of the base64 goes now; that with an address stays.
    assert pictures[0] <= now + 1
    assert now + 7000 < pictures[1] < now + 4 * 24 * 3600 + 60


def test_edits_of_a_batch_begin_with_their_pictures(batching: Begin) -> None:
    service = batching()
    picture = f"data:image/png;base64,{base64.b64encode(plain()).decode()}"
    lines = [
        line("good", EDITS, images=[{"image_url": picture}], size="64x64", seed=3),
        line("no picture", EDITS),
        line("no such file", EDITS, images=[{"file_id": "file-1"}]),
        line("broken", EDITS, images=[{"image_url": "data:image/png;base64,AAAA"}]),
    ]
    with service.clerk(), service.service.worker.serving():
        drawn = service.drawn(service.begin(lines, EDITS))

    assert [each["custom_id"] for each in drawn.output] == ["good"]
    codes = {
        name: (each["response"]["status_code"], each["response"]["body"]["error"]["code"])
        for name, each in drawn.by_id.items()
        if name != "good"
    }
    assert codes == {
        "no picture": (422, "invalid_value"),
        "no such file": (400, "unsupported_value"),
        "broken": (400, "invalid_image"),
    }
    (params,) = service.service.worker.drawn.values()
    assert params.edits


def test_a_batch_that_is_cancelled_keeps_what_was_drawn(batching: Begin) -> None:
    service = batching(batches={"window": 4})
    worker = service.service.worker
    with service.clerk():
        batch = service.begin([line(f"line {i}") for i in range(20)])
        for _ in range(3):
            worker.do()
        running = worker.take()
        service.client.batches.cancel(batch.id)
        drawn = service.drawn(batch, "cancelled")

    assert worker.claim() is None
    assert worker.client.hget(service.service.key("job", running.job_id), "status") == b"cancelled"
    assert drawn.counts[0] == 20
    assert drawn.counts[1] + drawn.counts[2] == 20
    assert drawn.counts[1] >= 3
    assert len(drawn.by_id) == 20
    for each in drawn.errors:
        assert (each["response"], each["error"]["code"]) == (None, "batch_cancelled")
    assert drawn.batch.cancelled_at is not None


def test_a_batch_that_is_cancelled_before_it_began_has_no_files(batching: Begin) -> None:
    service = batching()
    batch = service.begin([line("a")])
    service.client.batches.cancel(batch.id)
    with service.clerk():
        cancelled = service.wait(batch, "cancelled")

    assert (cancelled.output_file_id, cancelled.error_file_id) == (None, None)
    assert service.client.files.delete(batch.input_file_id).deleted


def test_what_has_ended_is_cancelled_no_more(batching: Begin) -> None:
    service = batching()
    with service.clerk(), service.service.worker.serving():
        batch = service.wait(service.begin([line("a")]), "completed")

    answer = service.service.caller.http.post(f"/v1/batches/{batch.id}/cancel")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "batch_ended")


def test_a_batch_expires_with_what_is_there(batching: Begin) -> None:
    service = batching(batches={"completion_s": 2, "window": 4})
    with service.clerk():
        batch = service.begin([line(f"line {i}") for i in range(10)])
        service.service.worker.do()
        drawn = service.drawn(batch, "expired")

    assert drawn.counts == (10, 1, 9)
    assert len(drawn.by_id) == 10
    assert {each["error"]["code"] for each in drawn.errors} == {"batch_expired"}
    assert drawn.batch.expired_at is not None


def test_a_key_that_is_revoked_draws_no_more(batching: Begin) -> None:
    service = batching(batches={"window": 1})
    settings = service.service.api.settings
    keyholder = Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode())
    key = keyholder.create("a test's")
    client = OpenAI(base_url=f"{service.service.api.url}/v1", api_key=key.text, max_retries=0)
    theirs = Batching(service.service, client)
    batch = theirs.begin([line(f"line {i}") for i in range(60)])
    name, client_of = service.service.key("batch", batch.id), service.service.worker.client
    with service.clerk(), service.service.worker.serving():
        wait_until(lambda: client_of.hget(name, "completed") not in {None, b"0"}, 20, "the first line")
        keyholder.revoke(key.key.id)
        wait_until(lambda: client_of.hget(name, "status") == b"completed", 20, "the batch's end")
    client.close()

    values = client_of.hgetall(name)
    assert int(values[b"completed"]) >= 1
    assert int(values[b"failed"]) >= 1
    assert int(values[b"completed"]) + int(values[b"failed"]) == 60
    said = (Path(settings.results.urls) / "files" / values[b"error_file_id"].decode()).read_text()
    codes = {json.loads(each)["response"]["body"]["error"]["code"] for each in said.splitlines()}
    assert codes == {"invalid_api_key"}


def test_a_courier_asks_nobody_for_a_key_whom_the_api_has_let_in_without(batching: Begin) -> None:
    """In a container the address to listen on is every one, and only the API knows where it is published."""
    service = batching()
    with service.clerk(host="0.0.0.0", open=False), service.service.worker.serving():
        drawn = service.drawn(service.begin([line("one")]))

    assert drawn.counts == (1, 1, 0)


def test_a_batch_without_a_key_is_drawn_no_more_once_there_is_one(batching: Begin) -> None:
    service = batching()
    settings = service.service.api.settings
    batch = service.begin([line("one")])
    Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode()).create("the first")
    name, client = service.service.key("batch", batch.id), service.service.worker.client
    with service.clerk(), service.service.worker.serving():
        wait_until(lambda: client.hget(name, "status") == b"completed", 20, "the batch's end")

    assert (client.hget(name, "completed"), client.hget(name, "failed")) == (b"0", b"1")


def test_a_line_for_which_there_is_no_worker_waits_and_others_do_not(batching: Begin) -> None:
    service = batching(models=("tiny",), jobs={"worker_grace_s": 0.5}, batches={"completion_s": 6})
    lines = [line(f"plain {i}", model="plain") for i in range(3)] + [line(f"tiny {i}") for i in range(3)]
    with service.clerk(), service.service.worker.serving():
        drawn = service.drawn(service.begin(lines), "expired")

    assert [each["custom_id"] for each in drawn.output] == ["tiny 0", "tiny 1", "tiny 2"]
    assert [each["error"]["code"] for each in drawn.errors] == ["batch_expired"] * 3


def test_the_next_courier_goes_on_where_one_stopped(batching: Begin) -> None:
    service = batching(batches={"window": 5})
    worker = service.service.worker
    batch = service.begin([line(f"line {i}") for i in range(30)])
    with worker.serving():
        for _ in range(3):
            before = service.client.batches.retrieve(batch.id).request_counts
            with service.clerk():
                wait_until(
                    lambda: service.client.batches.retrieve(batch.id).request_counts != before,  # noqa: B023
                    10,
                    "some progress",
                )
        with service.clerk():
            drawn = service.drawn(batch)

    assert [each["custom_id"] for each in drawn.output] == [f"line {i}" for i in range(30)]
    assert len(worker.drawn) == 30


def test_jobs_that_redis_has_lost_are_asked_for_again(batching: Begin) -> None:
    service = batching(batches={"window": 4})
    worker = service.service.worker
    with service.clerk():
        batch = service.begin([line(f"line {i}") for i in range(4)])
        attempt = worker.take()
        worker.client.delete(service.service.key("job", attempt.job_id))
        with worker.serving():
            drawn = service.drawn(batch)

    assert [each["custom_id"] for each in drawn.output] == [f"line {i}" for i in range(4)]


def test_no_batch_waits_for_another(batching: Begin) -> None:
    service = batching(batches={"window": 2, "concurrency": 1})
    with service.clerk(), service.service.worker.serving():
        large = service.begin([line(f"line {i}") for i in range(300)])
        service.wait(large, "in_progress")
        service.drawn(service.begin([line("small")]))

        assert service.client.batches.retrieve(large.id).status == "in_progress"
        service.client.batches.cancel(large.id)
        service.wait(large, "cancelled")


def test_lines_are_in_no_list_of_jobs_and_in_the_usage(batching: Begin) -> None:
    service = batching()
    caller = service.service.caller
    with service.clerk(), service.service.worker.serving():
        service.drawn(service.begin([line("a"), line("b", n=2)]))

    assert caller.http.get("/v1/images/jobs").json()["data"] == []
    total = caller.http.get("/v1/usage").json()["total"]
    assert (total["jobs"], total["images"]) == (2, 3)


def test_nothing_is_left_in_redis_but_the_batch(batching: Begin) -> None:
    service = batching()
    client, key = service.service.worker.client, service.service.key
    with service.clerk(), service.service.worker.serving():
        batch = service.drawn(service.begin([line("a"), line("b", n=9)])).batch

    assert client.exists(key("batch_pending", batch.id), key("batch_refused", batch.id)) == 0
    assert client.zcard(key("batches")) == 0
    assert client.keys(key("unfinished_batches", "*")) == []
    assert client.ttl(key("batch", batch.id)) > 0
    assert client.ttl(key("file", batch.input_file_id)) > 0


def test_the_operator_sees_batches_and_their_ends(batching: Begin) -> None:
    service = batching()
    http = service.service.caller.http
    service.begin([line("a")])
    service.begin(b"{")

    before = http.get("/v1/operator").json()["batches"]
    with service.clerk(), service.service.worker.serving():
        wait_until(lambda: http.get("/v1/operator").json()["batches"]["unfinished"] == 0, 20, "their ends")
    after = http.get("/v1/operator").json()["batches"]

    assert before["unfinished"] == 2
    assert before["late_s"] >= 0
    assert after == {
        "unfinished": 0,
        "late_s": 0,
        "completed": 1,
        "failed": 1,
        "expired": 0,
        "cancelled": 0,
    }
    shown = http.get("/metrics").text
    assert 'darkroom_batches_ended_total{status="completed"} 1.0' in shown
    assert "darkroom_batches_unfinished 0.0" in shown
