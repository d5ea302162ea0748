"""An API process and a Valkey, and nobody who draws."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from cli.ports import free_port
from cli.processes import Child, Program
from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT

START_S: Final = 60.0
# One that takes three pictures; its weights are looked at and never loaded.
CATALOGUE: Final = """
default = "looks"

[[model]]
name = "looks"
title = "Looks"
description = "Drawn by nobody."
weights = "{weights}"
family = "Flux2KleinPipeline"
memory_gib = 0.1
licence = "Apache-2.0"
licence_url = "https://www.apache.org/licenses/LICENSE-2.0"
token_limit = 46
steps = {{ low = 5, medium = 10, high = 20 }}
guidance = {{ vivid = 5.0, natural = 4.0 }}
prompt_templates = {{ vivid = "{{prompt}}", natural = "{{prompt}}" }}

[model.sizes]
native_width = 1024
native_height = 1024
multiple = 16
min_area_px = 4096
max_area_px = 1_048_576
max_side_px = 4096
max_aspect = 4

[model.edits]
by = "reference"
most_images = 3
"""


@dataclass(frozen=True)
class Serving:
    """Where it is, and which process."""

    url: str
    pid: int


@contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    """Run it until the end of the block.

    Raises:
        SystemExit: it did not become ready.
    """
    port, catalogue, uploads = free_port(), folder / "catalogue.toml", folder / "tmp"
    uploads.mkdir(parents=True)
    catalogue.write_text(CATALOGUE.format(weights=REPO_ROOT / "models" / "glyph"), encoding="utf-8")
    with EmbeddedServer(folder / "valkey") as server:
        environment = {
            "DARKROOM_REDIS__URL": server.url,
            "DARKROOM_API__PORT": str(port),
            "DARKROOM_MODELS__CATALOGUE": str(catalogue),
            "DARKROOM_JOBS__QUEUE_WITHOUT_WORKER": "true",
            "TMPDIR": str(uploads),
        }
        child = Child(
            Program("api", (sys.executable, "-m", "api"), folder / "api.log", REPO_ROOT, environment)
        )
        child.start()
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(url, child)
            yield Serving(url, child.process.pid)
        finally:
            child.stop(10)


def _wait_ready(url: str, child: Child) -> None:
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at and child.running:
        try:
            if httpx2.get(f"{url}/healthz", timeout=2, trust_env=False).status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            time.sleep(0.05)
    sys.exit(f"the API did not become ready: {child.program.log.read_text(encoding='utf-8')[-2000:]}")
