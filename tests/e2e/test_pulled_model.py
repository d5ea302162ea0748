"""A model from the hub: fetched by the command, offered by the catalogue, drawn with by the service."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT
from tests.e2e.pictures import opened
from tests.loopback_hub import loopback_hub
from tests.service import RunningService
from tests.tiny_models import save_tiny_pipeline, write_catalogue

pytestmark = pytest.mark.slow


def test_a_model_that_was_pulled_is_offered_and_draws(valkey: EmbeddedServer, tmp_path: Path) -> None:
    settings = {
        "DARKROOM_MODELS__CATALOGUE": str(write_catalogue(tmp_path, distant={"weights": "someone/tiny"})),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
    }
    with loopback_hub() as hub:
        hub.has("someone/tiny", save_tiny_pipeline(tmp_path / "published"))
        pulled = subprocess.run(
            [sys.executable, "-m", "cli", "models", "pull", "distant", "--yes"],
            cwd=tmp_path,
            env={**os.environ, **settings, "HF_ENDPOINT": hub.url, "PYTHONPATH": str(REPO_ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert pulled.returncode == 0, pulled.stderr

    with RunningService(tmp_path, valkey.url, DARKROOM_REDIS__PREFIX="e2e-pulled:", **settings) as service:
        offered = service.get("/v1/models")["data"]
        body = {"prompt": "black swan", "size": "64x64", "seed": 1}
        answer = httpx2.post(f"{service.url}/v1/images/generations", json=body, timeout=60, trust_env=False)

    assert [model["id"] for model in offered] == ["distant"]
    assert answer.status_code == 200, answer.text
    image = opened(base64.b64decode(answer.json()["data"][0]["b64_json"]))
    assert image.size == (64, 64)
