"""Which models stay on the device."""

from pathlib import Path

import pytest
import torch

from shared.catalogue import Catalogue
from shared.errors import GenerationFailed
from tests.tiny_models import write_catalogue
from worker.engine.devices import memory_bytes
from worker.engine.residents import Residents

CPU = torch.device("cpu")


def residents(folder: Path, memory_gib: float) -> Residents:
    entry = {"memory_gib": memory_gib}
    catalogue = Catalogue.load(write_catalogue(folder, one=entry, two=entry, three=entry))
    return Residents({spec.name: (spec, Path(spec.weights)) for spec in catalogue.specs}, CPU)


def test_models_stay_while_there_is_room(tmp_path: Path) -> None:
    models = residents(tmp_path, memory_gib=0.1)

    first = models.get("one")
    models.get("two")

    assert models.get("one") is first
    assert models.names() == ("two", "one")


def test_the_model_unused_for_longest_leaves_first(tmp_path: Path) -> None:
    models = residents(tmp_path, memory_gib=0.4 * memory_bytes(CPU) / 2**30)

    for name in ("one", "two", "one", "three"):
        models.get(name)

    assert models.names() == ("one", "three")


def test_a_model_larger_than_the_room_is_tried_alone(tmp_path: Path) -> None:
    models = residents(tmp_path, memory_gib=2 * memory_bytes(CPU) / 2**30)

    for name in ("one", "two"):
        models.get(name)

    assert models.names() == ("two",)


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationFailed, match="does not serve model 'four'"):
        residents(tmp_path, memory_gib=0.1).get("four")
