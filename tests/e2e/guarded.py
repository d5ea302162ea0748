"""The whole service on a guarded store: each process as its own user, and what is asked of it there."""

import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from tests.http_caller import ASYNC, JOBS, HttpCaller, Response
from tests.odd_pictures import RED, masking, plain
from tests.service import RunningService
from tests.store_server import StoreServer

EDITS: Final = "/v1/images/edits"
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
        _edit_everything(caller)


def _edit_everything(caller: HttpCaller) -> None:
    """Draw one edit, cancel one, repeat one, and have one fail."""
    picture, mask = plain((64, 64)), masking((64, 64))

    def edit(prompt: str, **headers: str) -> Response:
        files = {"image": picture, "mask": mask}
        return caller.http.post(EDITS, data={"prompt": prompt}, files=files, headers=headers)

    edited = edit("an edit")
    assert edited.status_code == 200, edited.text
    with Image.open(BytesIO(b64decode(edited.json()["data"][0]["b64_json"]))) as drawn:
        # Outside of the mask, as it came.
        assert drawn.getpixel((63, 63)) == RED
    repeated = {**ASYNC, "Idempotency-Key": "2"}
    jobs = {edit("slow:200", **repeated).json()["id"] for _ in range(2)}
    assert len(jobs) == 1
    assert caller.cancel(jobs.pop()).json()["status"] == "cancelled"
    assert edit("poison:raise").status_code == 500
