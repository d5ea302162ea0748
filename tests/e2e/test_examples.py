"""What `examples/` shows, run as its reader would run it, against the real service."""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from cli.processes import stop_together
from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT
from tests.e2e.guarded import LIGHT_WORKER
from tests.service import RunningService, process

EXAMPLES = REPO_ROOT / "examples"
COURIER = (sys.executable, "-m", "celery", "-A", "courier.main", "worker")
JAVASCRIPT = EXAMPLES / "openai_javascript"


def run(service: RunningService, folder: Path, *command: str | Path) -> str:
    """Run a program in a folder as a caller of the service; return what it wrote."""
    caller = {"OPENAI_BASE_URL": f"{service.url}/v1", "OPENAI_API_KEY": "sk-example", "no_proxy": "*"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **caller},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def look(file: Path) -> tuple[str | None, tuple[int, int], str]:
    """What a picture is, once it is wholly decoded."""
    with Image.open(file) as image:
        image.load()
        return image.format, image.size, image.mode


def test_curl(tiny_service: RunningService, tmp_path: Path) -> None:
    run(tiny_service, tmp_path, "bash", EXAMPLES / "curl.sh", "swan.png")

    assert look(tmp_path / "swan.png") == ("PNG", (1024, 1024), "RGB")


def test_the_official_client(tiny_service: RunningService, tmp_path: Path) -> None:
    said = run(tiny_service, tmp_path, sys.executable, EXAMPLES / "openai_sync.py")

    assert look(tmp_path / "black-swan.webp") == ("WEBP", (1024, 1024), "RGB")
    assert "tokens" in said


def test_the_official_asynchronous_client(tiny_service: RunningService, tmp_path: Path) -> None:
    run(tiny_service, tmp_path, sys.executable, EXAMPLES / "openai_async.py", tmp_path)

    files = sorted(tmp_path.glob("*.jpeg"))
    assert [look(file) for file in files] == [("JPEG", (512, 512), "RGB")] * 3


@pytest.mark.slow
def test_previews_on_the_way(glyph_service: RunningService, tmp_path: Path) -> None:
    run(glyph_service, tmp_path, sys.executable, EXAMPLES / "openai_streaming.py", tmp_path)

    assert look(tmp_path / "black-swan.png") == ("PNG", (512, 512), "RGB")
    previews = sorted(tmp_path.glob("preview-*.png"))
    assert previews
    assert all(look(file)[0] == "PNG" for file in previews)


def test_a_job_that_is_fetched_later(tiny_service: RunningService, tmp_path: Path) -> None:
    said = run(tiny_service, tmp_path, sys.executable, EXAMPLES / "httpx_job.py")

    assert look(tmp_path / "black-swan.png") == ("PNG", (1024, 1024), "RGBA")
    assert "succeeded 100 %" in said


def test_what_open_webui_sends(tiny_service: RunningService, tmp_path: Path) -> None:
    """As docs/clients.md sets it up, its OpenAI engine builds this request and reads this answer."""
    params = {"quality": "low", "style": "natural"}
    request = {
        "model": "tiny",
        "prompt": "Black Swan",
        "n": 1,
        "size": "512x512",
        "response_format": "b64_json",
    }
    answer = httpx2.post(
        f"{tiny_service.url}/v1/images/generations",
        json={**request, **params},
        headers={"Authorization": "Bearer none", "Content-Type": "application/json"},
        timeout=30,
        trust_env=False,
    )

    file = tmp_path / "swan.png"
    file.write_bytes(base64.b64decode(answer.raise_for_status().json()["data"][0]["b64_json"]))
    assert look(file) == ("PNG", (512, 512), "RGB")


EDITED = {"apple.png": "RGBA", "pear.png": "RGB", "kept-apple.png": "RGB"}


def assert_edited(folder: Path) -> None:
    """A picture, another that was made of it, and one in which what was opaque in the first is as it was."""
    assert {file.name: look(file) for file in folder.glob("*.png")} == {
        name: ("PNG", (512, 512), mode) for name, mode in EDITED.items()
    }
    apple, pear, kept = (np.asarray(Image.open(folder / name)) for name in EDITED)
    opaque = apple[..., 3] == 255
    assert opaque.any()
    assert (kept[opaque] == apple[opaque][:, :3]).all()
    assert (kept[~opaque] != apple[~opaque][:, :3]).any()
    assert (pear != apple[..., :3]).any(axis=-1).mean() > 0.5


def test_an_edit_with_curl(tiny_service: RunningService, tmp_path: Path) -> None:
    run(tiny_service, tmp_path, "bash", EXAMPLES / "curl_edit.sh")

    assert_edited(tmp_path)


def test_an_edit_with_the_official_client(tiny_service: RunningService, tmp_path: Path) -> None:
    run(tiny_service, tmp_path, sys.executable, EXAMPLES / "openai_edit.py")

    assert_edited(tmp_path)


@pytest.fixture
def batching_service(valkey: EmbeddedServer, tmp_path: Path) -> Iterator[RunningService]:
    """A service with a place for results and a courier; what it draws is light."""
    light = REPO_ROOT / "tests" / "faults" / "catalogue.toml"
    settings = {
        "DARKROOM_REDIS__PREFIX": "e2e-batches:",
        "DARKROOM_MODELS__CATALOGUE": str(light),
        "DARKROOM_MODELS__ENABLED": '["light"]',
        "DARKROOM_RESULTS__URLS": str(tmp_path / "objects"),
        "FAULTS_EVENTS": str(tmp_path / "events.jsonl"),
        "FAULTS_CAPACITY": "2",
    }
    with RunningService(tmp_path, valkey.url, worker_command=LIGHT_WORKER, **settings) as service:
        courier = process("courier", COURIER, tmp_path, **service.environment)
        courier.start()
        yield service
        stop_together([courier], 10)


def test_a_batch_with_the_official_client(batching_service: RunningService, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    said = run(batching_service, pictures, sys.executable, EXAMPLES / "openai_batch.py")

    assert "completed 3 of 3" in said
    names = ("black-swan.png", "white-heron.png", "red-robin.png")
    drawn = ("PNG", (512, 512), "RGB")
    assert {file.name: look(file) for file in pictures.iterdir()} == dict.fromkeys(names, drawn)


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's folder with its one dependency, as `npm install` makes it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("javascript") / "example"
    shutil.copytree(JAVASCRIPT, folder, ignore=shutil.ignore_patterns("node_modules", "package-lock.json"))
    command = [
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--fetch-retries=1",
        "--fetch-timeout=20000",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm could not install the client: {(done.stderr or done.stdout)[-200:]}")
    return folder


def test_the_official_client_for_javascript(
    tiny_service: RunningService, javascript: Path, tmp_path: Path
) -> None:
    run(tiny_service, javascript, "node", "draw.js", tmp_path / "swan.png")

    assert look(tmp_path / "swan.png") == ("PNG", (1024, 1024), "RGB")


def test_an_edit_with_the_official_client_for_javascript(
    tiny_service: RunningService, javascript: Path, tmp_path: Path
) -> None:
    run(tiny_service, javascript, "node", "edit.js", tmp_path)

    assert_edited(tmp_path)


def test_no_example_is_left_out() -> None:
    others = ("docs/test_commands.py", "integration/test_webhook_examples.py")
    here = Path(__file__).read_text() + "".join((REPO_ROOT / "tests" / file).read_text() for file in others)
    programs = [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.sh"), *EXAMPLES.glob("*/*.js")]

    assert programs
    assert [file.name for file in programs if f'"{file.name}"' not in here] == []
