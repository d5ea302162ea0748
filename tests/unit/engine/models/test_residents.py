"""Which models stay on the device."""

from pathlib import Path

import pytest
import torch

from shared.catalogue import Catalogue
from shared.errors import GenerationFailed
from tests.tiny_models import write_catalogue
from worker.engine.models.devices import memory_bytes
from worker.engine.models.residents import Residents
from worker.engine.rows.families.registry import adapt

CPU = torch.device("cpu")


def residents(
    folder: Path, *, memory_gib: float = 0.0001, room_bytes: int | None = None
) -> Residents[object]:
    entry = {"memory_gib": memory_gib}
    catalogue = Catalogue.load(write_catalogue(folder, one=entry, two=entry, three=entry))
    specs = {spec.name: (spec, Path(spec.weights)) for spec in catalogue.specs}
    return Residents(specs, CPU, adapt, room_bytes)


def test_models_stay_while_there_is_room(tmp_path: Path) -> None:
    models = residents(tmp_path)

    first = models.get("one")
    models.get("two")

    assert models.get("one") is first
    assert models.names() == ("two", "one")


def test_what_a_models_weights_take_is_measured(tmp_path: Path) -> None:
    model = residents(tmp_path).get("one")

    parts = [part for part in model.pipeline.components.values() if isinstance(part, torch.nn.Module)]
    parameters = sum(each.numel() for part in parts for each in part.parameters())
    assert model.weights_bytes() >= 4 * parameters > 10_000


def test_the_model_unused_for_longest_leaves_first(tmp_path: Path) -> None:
    weights_bytes = residents(tmp_path / "measured").get("one").weights_bytes()
    memory_gib = 2 * weights_bytes / 2**30  # with what drawing takes
    models = residents(tmp_path / "used", memory_gib=memory_gib, room_bytes=int(3.5 * weights_bytes))

    for name in ("one", "two", "one", "three"):
        models.get(name)

    assert models.names() == ("one", "three")


def test_weights_that_turn_out_small_let_more_models_stay(tmp_path: Path) -> None:
    weights_bytes = residents(tmp_path / "measured").get("one").weights_bytes()
    memory_gib = 4 * weights_bytes / 2**30
    models = residents(tmp_path / "used", memory_gib=memory_gib, room_bytes=6 * weights_bytes)

    for name in ("one", "two", "three"):
        models.get(name)

    # By what their entries say, not even two would fit.
    assert models.names() == ("one", "two", "three")


def test_a_model_larger_than_the_room_is_tried_alone(tmp_path: Path) -> None:
    models = residents(tmp_path, memory_gib=2 * memory_bytes(CPU) / 2**30)

    for name in ("one", "two"):
        models.get(name)

    assert models.names() == ("two",)


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationFailed, match="does not serve model 'four'"):
        residents(tmp_path).get("four")
