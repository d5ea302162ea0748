"""Edits by a pipeline that runs whole: its own call is given the pictures."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shared.catalogue import Catalogue
from shared.errors import GenerationFailed
from shared.params import Params
from tests.tiny_models import write_catalogue
from tests.unit.engine.drawing import Recorder, engine_of, pixels
from tests.unit.engine.families import save_qwen_image_edit, save_with_unknown_argument
from tests.unit.engine.rows.editing import mask_of, picture_of
from tests.unit.engine.rows.tiny import BEGINS, LOOKS, save_flux2_klein
from worker.engine import Edit, Engine, ImageRequest
from worker.engine.models.arguments import first_request
from worker.engine.models.processors import PictureProcessor
from worker.engine.pictures.pixels import to_pixels
from worker.planning import image_request

SIZE = (64, 64)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Pipelines with an argument that their adapters do not know; one needs a picture."""
    folder = tmp_path_factory.mktemp("whole")
    opaque, weights = {"transparent": False, "negative_prompt": False}, {"weights": "klein"}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        klein = {**opaque, **save_flux2_klein(folder / "klein"), **weights}
    klein["arguments"] = {**klein["arguments"], "num_images_per_prompt": 1}
    begins = {**opaque, **save_with_unknown_argument(folder / "begins"), "weights": "begins", "edits": BEGINS}
    only = {**klein, "edits": {**LOOKS, "required": True}}
    return Catalogue.load(write_catalogue(folder, looks=klein, only=only, begins=begins))


@pytest.fixture(scope="module")
def engine(catalogue: Catalogue) -> Iterator[Engine]:
    running = engine_of(catalogue)
    running.start()
    yield running
    running.close()


def request_of(catalogue: Catalogue, edit: Edit | None, model: str = "looks") -> ImageRequest:
    spec = catalogue.find(model)
    assert spec is not None
    asked = {"prompt": "black swan", "seed": 3, "width": 64, "height": 64, "quality": "low"}
    return replace(image_request(Params.model_validate(asked), spec), edit=edit)


@pytest.mark.parametrize(
    "pictures",
    [(picture_of(1, (64, 80)),), (picture_of(1, (64, 80)), picture_of(2, SIZE))],
    ids=["one", "several"],
)
def test_the_pipeline_draws_from_the_pictures(
    engine: Engine, catalogue: Catalogue, pictures: tuple[Image.Image, ...]
) -> None:
    request, watcher = request_of(catalogue, Edit(pictures)), Recorder()

    (file,) = engine.submit(request, watcher).result(30).images

    drawn = pixels(file).astype(int)
    assert np.abs(drawn - by_the_pipeline(engine, request, list(pictures))).max() <= 1
    assert np.abs(drawn - by_the_pipeline(engine, request, None)).max() > 2
    assert watcher.reports[-1] == (2, 2)


def by_the_pipeline(engine: Engine, request: ImageRequest, pictures: list[Image.Image] | None) -> Any:
    model = engine._residents.get("looks")
    model.pipeline.scheduler = model.fresh_scheduler()
    images = model.pipeline(
        image=pictures,
        prompt=request.wording.text,
        width=64,
        height=64,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        generator=[torch.Generator().manual_seed(request.seeds[0])],
        output_type="pt",
        **model.spec.arguments,
    ).images
    return to_pixels(images[0], keep_alpha=False)


def test_what_a_mask_keeps_is_the_picture(engine: Engine, catalogue: Catalogue) -> None:
    mask = mask_of(16, 8, 40, 48, size=SIZE)
    request = request_of(catalogue, Edit((picture_of(1, SIZE),), mask))

    (file,) = engine.submit(request, Recorder()).result(30).images

    kept, original = np.asarray(mask) == 0, np.asarray(picture_of(1, SIZE))
    assert np.array_equal(pixels(file)[kept], original[kept])
    assert np.abs(pixels(file)[~kept].astype(int) - original[~kept]).mean() > 5


def test_a_pipeline_that_takes_no_pictures_says_so(engine: Engine, catalogue: Catalogue) -> None:
    request = request_of(catalogue, Edit((picture_of(1, SIZE),), None, 0.5), "begins")

    failure = engine.submit(request, Recorder()).exception(30)

    assert isinstance(failure, GenerationFailed)
    assert "runs whole" in str(failure)


def test_one_that_needs_a_picture_draws_nothing_without(engine: Engine, catalogue: Catalogue) -> None:
    failure = engine.submit(request_of(catalogue, None, "only"), Recorder()).exception(30)

    assert isinstance(failure, GenerationFailed)
    assert "nothing without a picture" in str(failure)
    edit = Edit((picture_of(1, SIZE),))
    assert engine.submit(request_of(catalogue, edit, "only"), Recorder()).result(30).images


@pytest.mark.parametrize(("model", "pictures"), [("looks", None), ("only", 1)])
def test_its_first_picture_is_made_of_one_where_it_needs_one(
    catalogue: Catalogue, model: str, pictures: int | None
) -> None:
    spec = catalogue.find(model)
    assert spec is not None

    edit = first_request(spec).edit

    assert (edit and len(edit.images)) == pictures


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Catalogue]]:
    folder = tmp_path_factory.mktemp("qwen")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        entry = {**save_qwen_image_edit(folder / "edit"), "weights": "edit", "transparent": False}
    catalogue = Catalogue.load(write_catalogue(folder, edit=entry))
    running = engine_of(catalogue)
    running.start()
    yield running, catalogue
    running.close()


@pytest.mark.slow
def test_qwens_pipeline_draws_from_what_it_is_shown_and_needs_no_torchvision(
    qwen: tuple[Engine, Catalogue],
) -> None:
    engine, catalogue = qwen
    red, blue = Image.new("RGB", (64, 80), "red"), Image.new("RGB", SIZE, "blue")

    one, several = (
        pixels(engine.submit(request_of(catalogue, Edit(pictures), "edit"), Recorder()).result(50).images[0])
        for pictures in ((red,), (red, blue))
    )

    assert isinstance(engine._residents.get("edit").pipeline.processor, PictureProcessor)
    assert one.shape == several.shape == (64, 64, 3)
    assert np.abs(several.astype(int) - one).max() > 2
