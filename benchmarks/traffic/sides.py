"""The services under measurement: ours and the usual pattern, each one API process and a store of its own."""

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import redis
from celery import Celery
from pydantic import SecretStr

from benchmarks.traffic.wire import get, post
from cli.ports import free_port
from cli.processes import Child, Program
from cli.valkey import EmbeddedServer
from shared.objects import open_store
from shared.redis_clients import sync_client
from shared.settings import REPO_ROOT, JobSettings, RedisSettings, ResultSettings
from tests.waiting import wait_until
from worker.store import WorkerStore

Job = Any
"""A job as its side knows it."""

MODEL: Final = "light"
START_S: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Side(Protocol):
    """One API process, and whoever ends its jobs."""

    name: str
    port: int
    hold: bytes
    submit: bytes
    api: Child

    def beat(self) -> None:
        """Say that a worker lives."""

    def waiting(self) -> int:
        """How many jobs are queued."""

    def take(self, most: int) -> Sequence[Job]:
        """Take queued jobs."""

    def finish(self, job: Job, image: bytes) -> str:
        """End a job with this base64; return its id."""

    def job_id(self, headers: dict[str, str], body: bytes) -> str:
        """Which job a response is of."""

    def read(self, job_id: str) -> bytes:
        """The request for a job's state."""

    def result(self, job_id: str) -> bytes:
        """The request for a job's result."""


class Ours:
    """Darkroom's API; its worker is played: the real store, without Celery and without pictures."""

    name = "ours"

    def __init__(self, api: Child, port: int, redis_url: str, results: Path | None = None) -> None:
        self.api = api
        self.port = port
        self._objects = open_store(ResultSettings(urls=str(results or "")))
        body = {"prompt": "a tiny picture", "size": "64x64"}
        by_url = {**body, "response_format": "url"}
        self.submit_by_url = post("/v1/images/generations", by_url, Prefer="respond-async")
        self.hold = post("/v1/images/generations", body)
        self.submit = post("/v1/images/generations", body, Prefer="respond-async")
        settings = RedisSettings(url=SecretStr(redis_url))
        self._client = sync_client(settings, timeout_s=30)
        self._store = WorkerStore(self._client, JobSettings(lease_s=600), settings.prefix)

    def beat(self) -> None:
        """Send the heartbeat."""
        self._store.renew("played", [MODEL], [], {"slots": 1, "rows": 0})

    def waiting(self) -> int:
        """How many jobs are queued."""
        queued: Any = self._client.zcard(self._store.keys.queue(MODEL))
        return int(queued)

    def take(self, most: int) -> Sequence[Job]:
        """Claim jobs."""
        return self._store.claim(MODEL, "played", want=most, alone=True).attempts

    def finish(self, job: Job, image: bytes) -> str:
        """Write the draft and make it the result."""
        self._store.save_draft(job, [image])
        self._store.finish(job, images=1, usage={"input_tokens": 3, "output_tokens": 1})
        job_id: str = job.job_id
        return job_id

    def finish_stored(self, job: Job, file: bytes) -> str:
        """Write the picture to the folder and make its name the result."""
        name = f"pictures/{job.job_id}-0.png"
        self._store.note_objects(job, [name], keep_s=600)
        if self._objects is not None:
            self._objects.put(name, file, "image/png")
        self._store.save_draft(job, [name.encode()])
        usage = {"input_tokens": 3, "output_tokens": 1}
        self._store.finish(job, images=1, usage=usage, size_bytes=len(name), objects=[name])
        job_id: str = job.job_id
        return job_id

    def kept_bytes(self, job_id: str) -> int:
        """What a job's result takes in Redis."""
        keys = self._store.keys
        client: Any = self._client
        return sum(client.memory_usage(key) or 0 for key in (keys.result(job_id), keys.stored(job_id)))

    def job_id(self, headers: dict[str, str], body: bytes) -> str:
        """The header says it."""
        del body
        return headers["x-job-id"]

    def read(self, job_id: str) -> bytes:
        """A job's state."""
        return get(f"/v1/images/jobs/{job_id}")

    def result(self, job_id: str) -> bytes:
        """A job's result."""
        return get(f"/v1/images/jobs/{job_id}/result")


class Usual:
    """FastAPI with Celery's result backend; results are written as Celery's worker writes them."""

    def __init__(self, api: Child, port: int, redis_url: str, way: str) -> None:
        self.name = f"usual, {way}"
        self.api = api
        self.port = port
        self.hold = post(f"/{way}", {"prompt": "a tiny picture"})
        self.submit = post("/submit", {"prompt": "a tiny picture"})
        self._celery: Any = Celery("usual", broker=redis_url, backend=redis_url)
        self._client = redis.Redis.from_url(redis_url)

    def beat(self) -> None:
        """Nobody asks whether a worker lives."""

    def waiting(self) -> int:
        """How long Celery's list is."""
        length: Any = self._client.llen("celery")
        return int(length)

    def take(self, most: int) -> Sequence[Job]:
        """Take messages off Celery's list."""
        found: Any = self._client.rpop("celery", most) or []
        return [json.loads(message)["headers"]["id"] for message in found]

    def finish(self, job: Job, image: bytes) -> str:
        """Store the result and publish it."""
        content = {
            "created": int(time.time()),
            "data": [{"b64_json": image.decode()}],
            "usage": {"total_tokens": 4},
        }
        self._celery.backend.store_result(job, content, "SUCCESS")
        return str(job)

    def job_id(self, headers: dict[str, str], body: bytes) -> str:
        """The body says it."""
        del headers
        task_id: str = json.loads(body)["id"]
        return task_id

    def read(self, job_id: str) -> bytes:
        """A task's state."""
        return get(f"/jobs/{job_id}")

    def result(self, job_id: str) -> bytes:
        """A task's result."""
        return get(f"/jobs/{job_id}/result")


@contextmanager
def ours(folder: Path, *, processes: int = 1) -> Iterator[Ours]:
    """Run our API with bounds that let the load in."""
    with EmbeddedServer(folder / "valkey", maxmemory_bytes=8 * 1024**3) as server:
        port = free_port()
        settings = {
            "REDIS__URL": server.url,
            "API__PORT": str(port),
            "API__PROCESSES": str(processes),
            "MODELS__CATALOGUE": str(REPO_ROOT / "tests" / "faults" / "catalogue.toml"),
            "JOBS__MAX_QUEUED": "1000000",
            "JOBS__MAX_UNFINISHED_PER_OWNER": "1000000",
            "JOBS__MAX_WAIT_S": "100000000",
            "JOBS__MAX_OWED_S_PER_OWNER": "100000000",
            "JOBS__MAX_RESULT_BYTES": str(8 * 1024**3),
            "JOBS__WORKER_GRACE_S": "3600",
            "LOG__LEVEL": "warning",
            "RESULTS__URLS": str(folder / "results"),
        }
        environment = {f"DARKROOM_{name}": value for name, value in settings.items()}
        api = _api(folder, (sys.executable, "-m", "api"), environment)
        with running(api):
            side = Ours(api, port, server.url, folder / "results")
            side.beat()
            yield side


@contextmanager
def usual(folder: Path, way: str) -> Iterator[Side]:
    """Run the usual pattern."""
    with EmbeddedServer(folder / "valkey", maxmemory_bytes=8 * 1024**3) as server:
        port = free_port()
        command = (
            *(sys.executable, "-m", "uvicorn", "benchmarks.traffic.usual:app", "--port", str(port)),
            *("--no-access-log", "--log-level", "warning", "--backlog", "4096"),
        )
        api = _api(folder, command, {"USUAL_REDIS": server.url})
        with running(api):
            yield Usual(api, port, server.url, way)


def memory_bytes(child: Child) -> int:
    """Resident memory of a process."""
    pages = Path(f"/proc/{child.process.pid}/statm").read_text().split()[1]
    return int(pages) * _PAGE


def cpu_s(child: Child) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _api(folder: Path, command: tuple[str, ...], environment: dict[str, str]) -> Child:
    return Child(Program("api", command, folder / f"api-{secrets.token_hex(4)}.log", REPO_ROOT, environment))


@contextmanager
def running(child: Child) -> Iterator[Child]:
    """Run a process until the end of the block."""
    child.start()
    try:
        yield child
    finally:
        child.stop(10)


def wait_answering(side: Side) -> None:
    """Wait until a side can be asked."""
    wait_listening(side.port)


def wait_listening(port: int) -> None:
    """Wait until a port is listened to."""
    listening = f":{port:04X} 00000000:0000 0A"
    wait_until(
        lambda: listening in Path("/proc/net/tcp").read_text(), START_S, f"port {port} to be listened to"
    )
