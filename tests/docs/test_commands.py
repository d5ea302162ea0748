"""The commands of the documents, run as their reader would: `make docs-test`, not part of `make test`."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT
from tests.e2e.test_examples import EXAMPLES, look, run
from tests.service import RunningService
from tests.unit.docs.blocks import Block, all_blocks

DOCUMENTED: Final = "http://127.0.0.1:8000"
A_KEY: Final = "0123456789abcdef"
SHELL: Final = ("bash", "-eu", "-o", "pipefail", "-c")
INTERPRETERS: Final = {
    "sh": SHELL,
    "python": (sys.executable, "-c"),
    "js": ("node", "--input-type=module", "-e"),
}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def service(valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """What `make up` runs."""
    with RunningService(
        tmp_path_factory.mktemp("service"), valkey.url, DARKROOM_REDIS__PREFIX="docs:"
    ) as service:
        yield service


@pytest.fixture
def store(valkey: EmbeddedServer, prefix: str) -> dict[str, str]:
    """Settings of a store of its own, so that a key which a document makes does not close the service."""
    return {"DARKROOM_REDIS__URL": valkey.url, "DARKROOM_REDIS__PREFIX": prefix}


@pytest.fixture
def reader(service: RunningService, store: dict[str, str]) -> dict[str, str]:
    """The environment of somebody who reads and types."""
    return {
        **os.environ,
        **store,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DARKROOM_BASE_URL": service.url,
        "OPENAI_BASE_URL": f"{service.url}/v1",
        "OPENAI_API_KEY": "sk-reader",
        "no_proxy": "*",
    }


def key_of(reader: dict[str, str]) -> str:
    """Make an API key and return its id, which the documents write as ``A_KEY``."""
    made = subprocess.run(
        ["darkroom", "keys", "create", "--name", "to be revoked"],
        env=reader,
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"\b[0-9a-f]{16}\b", made.stdout + made.stderr)
    assert found, made.stdout
    return found[0]


@pytest.mark.parametrize("block", [block for block in all_blocks() if block.runs], ids=str)
def test_a_block_does_what_it_says(
    block: Block, service: RunningService, reader: dict[str, str], tmp_path: Path
) -> None:
    text = block.text.replace(DOCUMENTED, service.url).replace(".venv/bin/", "")
    if A_KEY in text:
        text = text.replace(A_KEY, key_of(reader))
    # As in a checkout, without writing into this one.
    for name in ("examples", "models", "docs"):
        (tmp_path / name).symlink_to(REPO_ROOT / name)

    done = subprocess.run(
        [*INTERPRETERS[block.language], text],
        cwd=tmp_path,
        env=reader,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for picture in [*tmp_path.glob("*.png"), *tmp_path.glob("*.webp")]:
        look(picture)


def test_make_demo(tmp_path: Path) -> None:
    recipe = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=REPO_ROOT, capture_output=True, text=True, check=True
    )
    assert "-m cli demo --output 'black-swan.png'" in recipe.stdout

    demo = [sys.executable, "-m", "cli", "demo", "--output", str(tmp_path / "swan.png")]
    # Elsewhere, as the folder of the checkout may be somebody's who runs the service at this moment.
    here = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    subprocess.run(demo, cwd=tmp_path, env=here, check=True, capture_output=True, timeout=200)

    assert look(tmp_path / "swan.png") == ("PNG", (1024, 1024), "RGB")


@pytest.fixture(scope="session")
def litellm() -> Path:
    """Python of an environment with LiteLLM: apart from ours, for it brings its own versions of much else."""
    folder = REPO_ROOT / ".darkroom" / "litellm"
    python = folder / "bin" / "python"
    pins = EXAMPLES / "litellm.txt"
    done = folder / ".installed"
    if not done.exists() or done.read_text() != pins.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        command = [python, "-m", "pip", "install", "--quiet", "--retries", "2", "-r", pins]
        installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
        if installed.returncode != 0:
            pytest.skip(f"LiteLLM could not be installed: {installed.stderr[-200:]}")
        done.write_text(pins.read_text())
    return python


def test_litellm(service: RunningService, litellm: Path, tmp_path: Path) -> None:
    run(service, tmp_path, litellm, EXAMPLES / "litellm_image.py")

    assert look(tmp_path / "black-swan.png") == ("PNG", (512, 512), "RGB")
