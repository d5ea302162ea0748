"""The worker as Celery starts it: with one plain command, or not at all and with one clear line."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kombu
import openai
import pytest
import redis

from cli.processes import Child
from cli.valkey import EmbeddedServer
from shared.bell.message import RING
from shared.jobs.keys import Keys
from shared.params import Params, Quality
from tests.e2e.pictures import pixels
from tests.jobs import Caller
from tests.service import WORKER, RunningService, process
from tests.tiny_models import write_catalogue
from tests.waiting import wait_until

PREFIX = "e2e-tiny:"


def test_a_plain_command_starts_a_worker_with_threads_and_nothing_of_celerys_own(
    tiny_service: RunningService,
) -> None:
    (started,) = tiny_service.worker_events("worker.started")

    assert tiny_service.worker.program.command == WORKER
    assert WORKER[1:] == ("-m", "celery", "-A", "worker.main", "worker")
    assert (started["device"], started["slots"], started["low_slots"]) == ("cpu", 1, 1)
    assert children_of(tiny_service.worker.process.pid) == []


def test_each_attempt_is_one_log_line_without_the_prompt(tiny_service: RunningService) -> None:
    with openai.OpenAI(api_key="k", base_url=f"{tiny_service.url}/v1") as client:
        raw = client.images.with_raw_response.generate(prompt="xylophone zebra", size="64x64", user="anna-42")
    job_id, request_id = raw.headers["x-job-id"], raw.headers["x-request-id"]

    (line,) = wait_until(
        lambda: [e for e in tiny_service.worker_events("attempt.ended") if e["job_id"] == job_id]
    )
    assert (line["outcome"], line["attempt"], line["request_id"]) == ("succeeded", 1, request_id)
    for child in (tiny_service.api, tiny_service.worker):
        log = child.program.log.read_text(encoding="utf-8")
        assert "xylophone" not in log
        assert "anna-42" not in log


@pytest.mark.slow
def test_previews_of_a_running_job_are_told_and_kept_and_come_nearer_to_its_picture(
    glyph_service: RunningService, valkey: EmbeddedServer
) -> None:
    assert glyph_service.worker.running
    params = Params(prompt="a red apple", seed=1, quality=Quality.LOW, partial_images=3)
    with (
        redis.Redis.from_url(valkey.url) as client,
        client.pubsub(ignore_subscribe_messages=True) as listener,
    ):
        caller = Caller(client, "e2e-glyph:")
        listener.subscribe(caller.keys.events("job-e2e"))
        listener.get_message(timeout=5)  # that it listens
        job_id = caller.submit(job_id="job-e2e", model="glyph", params=params)

        # No API has rung: the worker's reaper does.
        wait_until(lambda: caller.status(job_id) == "succeeded", 60, "the job's end")

        told = [json.loads(message["data"]) for message in iter(listener.get_message, None)]
        kept = caller.client.hgetall(caller.keys.previews(job_id))
        (final,) = caller.client.hvals(caller.keys.result(job_id))
    assert [news["partial"] for news in told if "partial" in news] == [0, 1, 2]
    distances = [distance(kept[f"0.{partial}".encode()], final) for partial in range(3)]
    assert distances == sorted(distances, reverse=True)


def distance(one: bytes, other: bytes) -> float:
    """How far two pictures (base64) of one size are from each other."""
    first, second = (pixels(base64.b64decode(file)).astype(float) for file in (one, other))
    assert first.shape == second.shape
    return float(((first - second) ** 2).mean())


class Mark:
    """Pickled, it writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._path,)


def test_a_pickled_message_is_refused_and_never_opened(
    tiny_service: RunningService, valkey: EmbeddedServer, tmp_path: Path
) -> None:
    mark = tmp_path / "unpickled"
    headers = {"task": RING, "id": "1", "lang": "py"}
    with kombu.Connection(broker(valkey)) as connection, connection.SimpleQueue(queue_name()) as queue:
        queue.put([[Mark(mark)], {}, {}], serializer="pickle", headers=headers)

    wait_until(lambda: rings(valkey) == 0, what="the message's taking")
    with openai.OpenAI(api_key="k", base_url=f"{tiny_service.url}/v1") as client:
        assert client.images.generate(prompt="after", size="64x64").data
    assert not mark.exists()


@pytest.mark.parametrize("args", [[], ["no-such-model"], ["tiny", "more"], [{"a": 1}], [None]], ids=str)
def test_a_forged_ring_does_nothing(
    tiny_service: RunningService, valkey: EmbeddedServer, args: list[object]
) -> None:
    headers = {"task": RING, "id": "1", "lang": "py"}
    with kombu.Connection(broker(valkey)) as connection, connection.SimpleQueue(queue_name()) as queue:
        queue.put([args, {}, {}], serializer="json", headers=headers)

    wait_until(lambda: rings(valkey) == 0, what="the message's taking")
    with openai.OpenAI(api_key="k", base_url=f"{tiny_service.url}/v1") as client:
        assert client.images.generate(prompt="after", size="64x64").data
    assert tiny_service.worker.running


@pytest.fixture(scope="module")
def vain(valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Child]]:
    """Workers that must not start, by what is wrong with them; all at once, because each imports torch."""
    folder = tmp_path_factory.mktemp("vain")
    environments = {
        "no weights": {"DARKROOM_MODELS__CATALOGUE": str(without_weights(folder))},
        "cut weights": {"DARKROOM_MODELS__CATALOGUE": str(with_cut_weights(folder))},
        "unknown model": {"DARKROOM_MODELS__ENABLED": '["no-such-model"]'},
        "wrong settings": {"DARKROOM_JOBS__LEASE_S": "1", "DARKROOM_REDIS__PREFIX": "e2e vain"},
    }
    workers = {
        wrong: process(wrong, WORKER, folder, DARKROOM_REDIS__URL=valkey.url, **environment)
        for wrong, environment in environments.items()
    }
    for worker in workers.values():
        worker.start()
    yield workers
    for worker in workers.values():
        worker.kill()


def without_weights(folder: Path) -> Path:
    catalogue = write_catalogue(folder / "without", sketch={})
    shutil.rmtree(folder / "without" / "tiny-rgba")
    return catalogue


def with_cut_weights(folder: Path) -> Path:
    catalogue = write_catalogue(folder / "cut", sketch={})
    unet = next((folder / "cut" / "tiny-rgba" / "unet").glob("*.safetensors"))
    unet.write_bytes(unet.read_bytes()[:100])
    return catalogue


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("no weights", "/without/tiny-rgba"), ("cut weights", "/cut/tiny-rgba/unet"), ("unknown model", "")],
)
@pytest.mark.slow
def test_a_model_that_cannot_be_served_ends_the_worker_with_one_line_that_names_it(
    vain: dict[str, Child], wrong: str, said: str
) -> None:
    (line,) = last_words(vain[wrong])

    name = "no-such-model" if wrong == "unknown model" else "sketch"
    assert line.startswith(f"darkroom worker: model '{name}': ")
    assert said in line


@pytest.mark.slow
def test_settings_that_cannot_work_end_the_worker_with_what_is_wrong(vain: dict[str, Child]) -> None:
    lines = last_words(vain["wrong settings"])

    assert lines[0].startswith("darkroom worker: ")
    assert any("lease_s" in line for line in lines)
    assert any("prefix" in line for line in lines)


def last_words(worker: Child) -> list[str]:
    """What a worker said that did not start."""
    assert worker.wait(60), "the worker still runs"
    assert worker.process.returncode == 1
    said = worker.program.log.read_text(encoding="utf-8").strip().splitlines()
    assert not any("Traceback" in line for line in said)
    return said


def broker(valkey: EmbeddedServer) -> str:
    return valkey.url.removesuffix("/0") + "/1"


def queue_name() -> str:
    return Keys(PREFIX).doorbell("tiny")


def rings(valkey: EmbeddedServer) -> int:
    with redis.Redis.from_url(broker(valkey)) as client:
        return int(client.llen(queue_name()))  # type: ignore[arg-type]


def children_of(pid: int) -> list[str]:
    """The child processes of a process."""
    answer = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.split()


def test_the_log_is_json(tiny_service: RunningService) -> None:
    log = tiny_service.api.program.log.read_text(encoding="utf-8")

    assert {"event", "level", "timestamp"} <= set(json.loads(log.splitlines()[0]))
