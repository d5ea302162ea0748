"""Engines to draw with. They are shared by the session: an engine must not remember its requests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.catalogue import Catalogue, ModelSpec
from shared.params import Params
from shared.settings import REPO_ROOT
from tests.tiny_models import write_catalogue
from tests.unit.engine.drawing import RequestMaker, engine_of
from worker.engine import Engine, ImageRequest
from worker.planning import image_request


@pytest.fixture(scope="session")
def tiny_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("models")
    return Catalogue.load(
        write_catalogue(folder, tiny={}, plain={"transparent": False, "negative_prompt": False})
    )


@pytest.fixture(scope="session")
def engine(tiny_catalogue: Catalogue) -> Iterator[Engine]:
    running = engine_of(tiny_catalogue)
    running.start()
    yield running
    running.close()


@pytest.fixture(scope="session")
def glyph() -> tuple[ModelSpec, Path]:
    catalogue = Catalogue.load(REPO_ROOT / "models" / "catalog.toml")
    spec = catalogue.find("glyph")
    assert spec is not None
    return spec, catalogue.check_weights(spec)


@pytest.fixture(scope="session")
def make_request(tiny_catalogue: Catalogue) -> RequestMaker:
    """A function that makes a request for the tiny model, or another of its catalogue."""

    def make(model: str = "tiny", **choices: object) -> ImageRequest:
        spec = tiny_catalogue.find(model)
        assert spec is not None
        return image_request(
            Params.model_validate({"prompt": "Black Swan", "seed": 7, "width": 64, "height": 64, **choices}),
            spec,
        )

    return make
