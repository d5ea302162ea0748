"""Tiny models of every family, loaded once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from shared.catalogue import Catalogue
from tests.tiny_models import write_catalogue
from tests.unit.engine.rows.tiny import MORE_SAVERS
from worker.engine.models.loading import LoadedModel, load
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.registry import adapt

Adapted = Callable[[str], RowFamily]


@pytest.fixture(autouse=True)
def one_thread_and_no_gradients() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Catalogue]:
    """A catalogue with one entry, ``other``: a tiny pipeline of the named class."""
    made: dict[str, Catalogue] = {}

    def make(name: str) -> Catalogue:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(0)
                needs = MORE_SAVERS[name](folder / "weights")
            entry = {"transparent": False, "negative_prompt": True, "weights": "weights", **needs}
            made[name] = Catalogue.load(write_catalogue(folder, other=entry))
        return made[name]

    return make


@pytest.fixture(scope="session")
def load_tiny(tiny_family: Callable[[str], Catalogue]) -> Callable[[str], LoadedModel]:
    made: dict[str, LoadedModel] = {}

    def make(name: str) -> LoadedModel:
        if name not in made:
            catalogue = tiny_family(name)
            spec = catalogue.specs[0]
            made[name] = load(spec, Path(catalogue.check_weights(spec)), torch.device("cpu"))
        return made[name]

    return make


@pytest.fixture
def adapted(load_tiny: Callable[[str], LoadedModel]) -> Adapted:
    """A function that returns a new adapter of a tiny model of the named pipeline class."""

    def make(name: str) -> RowFamily:
        family = adapt(load_tiny(name))
        assert family is not None
        return family

    return make
