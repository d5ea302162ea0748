"""The whole service in real processes: once with tiny models for most tests, once as it is shipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.ports import free_port
from cli.valkey import EmbeddedServer
from tests.collector import Collector
from tests.service import RunningService
from tests.tiny_models import write_catalogue
from tests.unit.engine.rows.tiny import BEGINS, save_flux2_klein

HERE = Path(__file__).parent
# Enough steps that previews come before their picture does.
LOOKING = {"weights": "klein", "transparent": False, "steps": {"low": 2, "medium": 40, "high": 40}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # The first test of a session waits for processes that import torch.
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def tiny_catalogue_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` begins with a picture, `looks` looks at several, `plain` draws from words only."""
    folder = tmp_path_factory.mktemp("models")
    return write_catalogue(
        folder,
        tiny={"edits": BEGINS},
        plain={"transparent": False, "negative_prompt": False},
        looks={**save_flux2_klein(folder / "klein"), **LOOKING},
    )


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Takes the traces of the tiny service."""
    with Collector() as running:
        yield running


@pytest.fixture(scope="session")
def tiny_service(
    valkey: EmbeddedServer,
    tiny_catalogue_file: Path,
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningService]:
    """The tiny models, drawn in hundredths of a second. It traces, and logs all that it has to say."""
    settings = {
        "DARKROOM_TRACING__ENDPOINT": collector.url,
        "DARKROOM_LOG__LEVEL": "debug",
        "DARKROOM_REDIS__PREFIX": "e2e-tiny:",
        "DARKROOM_MODELS__CATALOGUE": str(tiny_catalogue_file),
        "DARKROOM_WORKER__METRICS_PORT": str(free_port()),
    }
    with RunningService(tmp_path_factory.mktemp("tiny"), valkey.url, **settings) as service:
        yield service


@pytest.fixture(scope="session")
def glyph_service(
    valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """What a fresh installation runs: nothing is set but where Redis is and which port to take."""
    folder = tmp_path_factory.mktemp("glyph")
    with RunningService(folder, valkey.url, DARKROOM_REDIS__PREFIX="e2e-glyph:") as service:
        yield service
