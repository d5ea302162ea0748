"""The whole service on a guarded store: each process as its own user, and what is asked of it there."""

import sys
from pathlib import Path
from typing import Final

from tests.http_caller import ASYNC, JOBS, HttpCaller
from tests.service import RunningService
from tests.store_server import StoreServer

FAULTS: Final = Path(__file__).parents[1] / "faults"
LIGHT_WORKER: Final = (
    *(sys.executable, "-m", "celery", "-A", "tests.faults.programs.faulty_worker", "worker"),
)


def guarded_service(folder: Path, store: StoreServer, **environment: str) -> RunningService:
    """Return the service, not started yet: the real API and the real worker with the light engine."""
    return RunningService(
        folder,
        store.url("api"),
        worker_command=LIGHT_WORKER,
        worker_only={"DARKROOM_REDIS__URL": store.url("worker")},
        DARKROOM_REDIS__PREFIX=store.prefix,
        DARKROOM_MODELS__CATALOGUE=str(FAULTS / "catalogue.toml"),
        DARKROOM_MODELS__ENABLED='["light"]',
        FAULTS_EVENTS=str(folder / "events.jsonl"),
        FAULTS_CAPACITY="1",
        **environment,
    )


def ask_for_everything(url: str, key: str) -> None:
    """Use every part of the service once, so that every script and command runs."""
    with HttpCaller(url, key) as caller:
        held = caller.generate(n=2)
        assert held.status_code == 200, held.text
        assert "image_generation.completed" in caller.generate(stream=True, partial_images=1).text
        repeated = {"Idempotency-Key": "1", "x-stainless-retry-count": "1"}
        job_id = caller.submit(repeated, prompt="slow:200")
        assert caller.submit(repeated, prompt="slow:200") == job_id
        waiting = caller.submit()
        for path in (f"{JOBS}/{waiting}", JOBS, "/v1/models", "/v1/usage", "/v1/operator", "/metrics"):
            assert caller.http.get(path).status_code == 200, path
        assert caller.cancel(job_id).json()["status"] == "cancelled"
        assert caller.http.get(f"{JOBS}/{waiting}/events").text.endswith("\n\n")
        assert caller.result(waiting).status_code == 200
        assert caller.generate(ASYNC, prompt="poison:raise").status_code == 202
