"""A service for other people's clients, and clients that several tests need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.valkey import EmbeddedServer
from tests.docs.installed import CLIENTS, LITELLM, javascript_of, python_with
from tests.e2e.conftest import LOOKING
from tests.service import RunningService
from tests.tiny_models import write_catalogue
from tests.unit.engine.rows.tiny import BEGINS, save_flux2_klein


@pytest.fixture(scope="session")
def service(valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Tiny models; the default begins with a picture. Nothing about the clients' names is set."""
    folder = tmp_path_factory.mktemp("clients")
    models = folder / "models"
    catalogue = write_catalogue(
        models,
        tiny={"transparent": False, "edits": BEGINS},
        looks={**save_flux2_klein(models / "klein"), **LOOKING},
    )
    settings = {"DARKROOM_REDIS__PREFIX": "clients:", "DARKROOM_MODELS__CATALOGUE": str(catalogue)}
    with RunningService(folder, valkey.url, **settings) as service:
        yield service


@pytest.fixture(scope="session")
def by_url(valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A tiny model, whose pictures are addresses where a caller does not say otherwise."""
    folder = tmp_path_factory.mktemp("by-url")
    settings = {
        "DARKROOM_REDIS__PREFIX": "by-url:",
        "DARKROOM_MODELS__CATALOGUE": str(write_catalogue(folder / "models", tiny={})),
        "DARKROOM_RESULTS__URLS": str(folder / "results"),
        "DARKROOM_RESULTS__BY_DEFAULT": "true",
    }
    with RunningService(folder, valkey.url, **settings) as service:
        yield service


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs for Node, with their clients."""
    return javascript_of(CLIENTS / "javascript", tmp_path_factory.mktemp("javascript"))


@pytest.fixture(scope="session")
def litellm() -> Path:
    """Python of an environment with LiteLLM and its proxy."""
    return python_with("litellm", *LITELLM)
