"""Loading: what an entry may change about a pipeline, and what is said when it cannot be."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from shared.catalogue import Catalogue, ModelSpec
from shared.errors import CatalogueError
from tests.tiny_models import save_tiny_pipeline, write_catalogue
from tests.unit.engine.families import save_ernie_image
from worker.engine.models.devices import dtype_for
from worker.engine.models.loading import LoadedModel, load, settled

CPU = torch.device("cpu")


def loaded(catalogue_path: Path) -> LoadedModel:
    catalogue = Catalogue.load(catalogue_path)
    spec = catalogue.specs[0]
    return load(spec, catalogue.check_weights(spec), CPU)


def test_a_component_can_be_replaced_by_another_file(tmp_path: Path) -> None:
    other = save_tiny_pipeline(tmp_path / "other", seed=1) / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(other, tmp_path / "swap.safetensors")
    path = write_catalogue(
        tmp_path, tiny={"components": {"unet": {"weights": ".", "file": "swap.safetensors"}}}
    )
    (tmp_path / "tiny-rgba" / "unet" / "diffusion_pytorch_model.safetensors").unlink()

    weights = loaded(path).pipeline.unet.state_dict()

    expected = load_file(tmp_path / "swap.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def test_a_component_that_the_entry_goes_without_is_not_loaded(tmp_path: Path) -> None:
    needs = save_ernie_image(tmp_path / "weights")
    for component in needs["without"]:
        assert (tmp_path / "weights" / component).is_dir()
        shutil.rmtree(tmp_path / "weights" / component)

    model = loaded(write_catalogue(tmp_path, tiny={"weights": "weights", **needs}))

    assert (model.pipeline.pe, model.pipeline.pe_tokenizer) == (None, None)
    assert model.tokenizer is not None
    with pytest.raises(CatalogueError, match=r"component folder .*pe is missing"):
        loaded(write_catalogue(tmp_path, tiny={"weights": "weights", **needs, "without": []}))


def test_a_model_can_come_from_what_builds_it(tmp_path: Path) -> None:
    spec = Catalogue.load(write_catalogue(tmp_path)).specs[0]
    read = load(spec, Path(spec.weights), torch.device("cpu"))

    def build(asked: ModelSpec, device: torch.device) -> LoadedModel:
        assert asked is spec
        return settled(asked, read.pipeline, device)

    assert load(spec, build, torch.device("cpu")) == read


def test_the_scheduler_can_be_another(tmp_path: Path) -> None:
    choice = {"name": "EulerDiscreteScheduler", "settings": {"timestep_spacing": "leading"}}

    scheduler = loaded(write_catalogue(tmp_path, tiny={"scheduler": choice})).pipeline.scheduler

    assert type(scheduler).__name__ == "EulerDiscreteScheduler"
    assert scheduler.config.timestep_spacing == "leading"
    assert scheduler.config.steps_offset == 1


def test_each_image_gets_a_scheduler_of_its_own(tmp_path: Path) -> None:
    model = loaded(write_catalogue(tmp_path))
    model.pipeline.scheduler.set_timesteps(4)

    scheduler = model.fresh_scheduler()
    scheduler.set_timesteps(9)

    assert len(model.pipeline.scheduler.timesteps) == 4


def test_a_cpu_computes_in_float32_and_a_gpu_as_the_entry_says(tmp_path: Path) -> None:
    spec = Catalogue.load(write_catalogue(tmp_path, tiny={"dtype": "float16"})).specs[0]

    assert dtype_for(spec, CPU) is torch.float32
    assert dtype_for(spec, torch.device("cuda")) is torch.float16
    assert load(spec, Path(spec.weights), CPU).pipeline.unet.dtype is torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "tokenizer_2"}, "no component 'tokenizer_2'"),
        ({"scheduler": {"name": "NoSuchScheduler"}}, "NoSuchScheduler"),
        ({"components": {"nothing": {"weights": ".", "file": "catalog.safetensors"}}}, "nothing"),
    ],
)
def test_an_entry_that_does_not_fit_its_pipeline_is_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    spec = Catalogue.load(write_catalogue(tmp_path, tiny=changes)).specs[0]

    with pytest.raises(CatalogueError, match=f"model 'tiny': .*{message}"):
        load(spec, Path(spec.weights), CPU)
