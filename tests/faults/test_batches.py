"""Batches while what draws them, remembers them or works on them is away: each line is answered once."""

import base64
import io
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any, Final

import openai
import pytest
from openai import OpenAI
from openai.types import Batch
from PIL import Image

from tests.faults.harness.cluster import Cluster, Node
from tests.waiting import wait_until

Json = dict[str, Any]
GENERATIONS: Final = "/v1/images/generations"
ENDS: Final = frozenset({"completed", "failed", "expired", "cancelled"})
LEASE_S: Final = "2"


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Batches"]:
    """A service with a place for files: an API process, two workers and two couriers."""
    folder = tmp_path_factory.mktemp("batches")
    settings = {
        "RESULTS__URLS": str(folder / "objects"),
        "BATCHES__WINDOW": "16",
        "BATCHES__LEASE_S": LEASE_S,
    }
    with Cluster(folder, **settings) as cluster:
        cluster.add_api("api-1")
        for name in ("w1", "w2"):
            cluster.add_worker(name, capacity=4)
        for name in ("courier-1", "courier-2"):
            cluster.add_courier(name)
        cluster.wait_ready()
        with OpenAI(base_url=f"{cluster.nodes['api-1'].url}/v1", api_key="key", max_retries=8) as client:
            yield Batches(cluster, client)


@dataclass
class Batches:
    """The service and the official client."""

    cluster: Cluster
    client: OpenAI

    @property
    def couriers(self) -> list[Node]:
        return [self.cluster.nodes[name] for name in ("courier-1", "courier-2")]

    def begin(self, lines: int, words: str = "slow:2", **body: Any) -> Batch:
        asked = [
            {
                "custom_id": f"line {i}",
                "method": "POST",
                "url": GENERATIONS,
                "body": {"prompt": f"line {i} {words}", "model": "light", "size": "64x64", "seed": i, **body},
            }
            for i in range(lines)
        ]
        content = "\n".join(map(json.dumps, asked)).encode()
        file = self.client.files.create(file=("lines.jsonl", content), purpose="batch")
        return self.client.batches.create(
            input_file_id=file.id, endpoint=GENERATIONS, completion_window="24h"
        )

    def done(self, batch: Batch) -> int:
        """How many lines have ended."""
        now = self.client.batches.retrieve(batch.id).request_counts
        assert now is not None
        return now.completed + now.failed

    def wait_done(self, batch: Batch, lines: int) -> None:
        wait_until(lambda: self.done(batch) >= lines, 60, f"{lines} lines")

    def ended(self, batch: Batch, timeout_s: float = 120) -> Batch:
        def end() -> Batch | None:
            try:
                now = self.client.batches.retrieve(batch.id)
            except openai.APIStatusError:
                return None
            return now if now.status in ENDS else None

        return wait_until(end, timeout_s, "the end of the batch")

    def lines(self, file_id: str | None) -> list[Json]:
        content = b"" if file_id is None else self.client.files.content(file_id).content
        return [json.loads(each) for each in content.splitlines()]

    def check(self, batch: Batch, lines: int, *, errors: Sequence[int] = ()) -> None:
        """Check that a batch has completed, every line was answered once, and each has its own picture."""
        ended = self.ended(batch)
        output, failed = self.lines(ended.output_file_id), self.lines(ended.error_file_id)
        assert (ended.status, ended.errors) == ("completed", None)
        assert [each["custom_id"] for each in failed] == [f"line {i}" for i in errors]
        assert [each["custom_id"] for each in output] == [
            f"line {i}" for i in range(lines) if i not in set(errors)
        ]
        counts = ended.request_counts
        assert counts is not None
        assert (counts.total, counts.completed, counts.failed) == (lines, len(output), len(failed))
        for each in output:
            (image,) = each["response"]["body"]["data"]
            job = Image.open(io.BytesIO(base64.b64decode(image["b64_json"]))).info["job"]
            assert each["id"] == f"batch_req_{job}"
        self.check_nothing_is_left(batch)

    def check_nothing_is_left(self, batch: Batch) -> None:
        store, key = self.cluster.store, self.cluster.keys.key
        assert store.exists(key("batch_pending", batch.id), key("batch_refused", batch.id)) == 0
        assert store.zscore(key("batches"), batch.id) is None
        halves = list((Path(self.cluster.folder) / "objects" / "files").glob("*#*"))
        assert halves == []


@pytest.fixture(autouse=True)
def _whole(batches: Batches) -> Iterator[None]:
    yield
    batches.cluster.mend()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_official_client_draws_a_thousand_lines(batches: Batches) -> None:
    batches.check(batches.begin(1000, "slow:1", quality="low"), 1000)


@pytest.mark.timeout(120)
def test_couriers_killed_at_any_instant_lose_no_line_and_draw_none_twice(batches: Batches) -> None:
    batch, chance = batches.begin(120), random.Random(17)

    for kill in range(6):
        batches.wait_done(batch, 12 * (kill + 1))
        for courier in batches.couriers:
            courier.kill()
            time.sleep(chance.random() / 10)
            courier.start()
    batches.check(batch, 120)

    jobs = [event.job for event in batches.cluster.events.all() if event.event == "end"]
    drawn = [
        each["id"].removeprefix("batch_req_") for each in batches.lines(batches.ended(batch).output_file_id)
    ]
    assert {jobs.count(job) for job in drawn} == {1}


@pytest.mark.timeout(120)
def test_a_courier_killed_while_it_writes_the_files_is_followed_by_another(batches: Batches) -> None:
    batch = batches.begin(60)
    key, store = batches.cluster.keys.batch(batch.id), batches.cluster.store
    wait_until(lambda: store.hget(key, "writing"), 60, "the writing of the files")

    for courier in batches.couriers:
        courier.kill()
    for courier in batches.couriers:
        courier.start()

    batches.check(batch, 60)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_frozen_courier_wakes_up_and_changes_nothing(batches: Batches) -> None:
    batch = batches.begin(60)
    batches.wait_done(batch, 10)
    frozen, other = batches.couriers

    frozen.send(SIGSTOP)
    batches.wait_done(batch, 50)
    frozen.send(SIGCONT)

    batches.check(batch, 60)
    assert other.running
    assert frozen.running


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_courier_that_is_told_to_stop_hands_its_batches_on_at_once(batches: Batches) -> None:
    batch = batches.begin(100)
    batches.wait_done(batch, 10)

    told_at = time.monotonic()
    for courier in batches.couriers:
        courier.send(SIGTERM)
    wait_until(lambda: not any(courier.running for courier in batches.couriers), 15, "the couriers' end")
    assert time.monotonic() - told_at < 10
    batches.couriers[0].start()

    batches.check(batch, 100)


@pytest.mark.timeout(120)
def test_workers_that_die_cost_attempts_and_no_line(batches: Batches) -> None:
    batch = batches.begin(80)

    for name in ("w1", "w2", "w1"):
        before = batches.done(batch)
        batches.wait_done(batch, min(80, before + 15))
        batches.cluster.nodes[name].kill()
        batches.cluster.nodes[name].start()

    batches.check(batch, 80)


@pytest.mark.timeout(120)
def test_a_batch_outlives_the_store_s_absence(batches: Batches) -> None:
    batch = batches.begin(80)
    batches.wait_done(batch, 15)

    batches.cluster.server.stop()
    time.sleep(3)
    batches.cluster.server.start()

    batches.check(batch, 80)


@pytest.mark.timeout(120)
def test_a_batch_that_is_cancelled_while_couriers_die_answers_each_line_once(batches: Batches) -> None:
    batch = batches.begin(200)
    batches.wait_done(batch, 20)
    batches.couriers[0].kill()

    batches.client.batches.cancel(batch.id)
    ended = batches.ended(batch)

    output, errors = batches.lines(ended.output_file_id), batches.lines(ended.error_file_id)
    assert ended.status == "cancelled"
    assert sorted(int(each["custom_id"].split()[1]) for each in [*output, *errors]) == list(range(200))
    assert len(output) >= 20
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
    batches.check_nothing_is_left(batch)


@pytest.mark.timeout(120)
def test_lines_whose_jobs_fail_are_errors_and_nothing_else_is(batches: Batches) -> None:
    lines = 20
    asked = [
        {
            "custom_id": f"line {i}",
            "method": "POST",
            "url": GENERATIONS,
            "body": {"prompt": f"line {i}{' poison:raise' if i % 5 == 0 else ''}", "size": "64x64"},
        }
        for i in range(lines)
    ]
    file = batches.client.files.create(
        file=("lines.jsonl", "\n".join(map(json.dumps, asked)).encode()), purpose="batch"
    )
    batch = batches.client.batches.create(
        input_file_id=file.id, endpoint=GENERATIONS, completion_window="24h"
    )

    batches.check(batch, lines, errors=range(0, lines, 5))
    failed = batches.lines(batches.ended(batch).error_file_id)
    assert {each["response"]["body"]["error"]["code"] for each in failed} == {"generation_failed"}
