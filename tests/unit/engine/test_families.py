"""The engine draws with every kind of pipeline, whether or not it has a row adapter for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from shared.catalogue import Catalogue, ModelSpec
from shared.errors import AttemptCancelled, GenerationFailed
from shared.params import Params
from tests.tiny_models import write_catalogue
from tests.unit.engine.drawing import Recorder, engine_of, picture
from tests.unit.engine.families import (
    save_ernie_image,
    save_latent_diffusion,
    save_pixart,
    save_with_unknown_argument,
)
from tests.unit.engine.rows.tiny import SAVERS
from worker.engine import Engine
from worker.planning import image_request

Saver = Callable[[Path], dict[str, Any]]


def served(folder: Path, save: Saver) -> tuple[Engine, ModelSpec]:
    needs = save(folder / "weights")
    path = write_catalogue(
        folder, other={"transparent": False, "negative_prompt": False, "weights": "weights", **needs}
    )
    catalogue = Catalogue.load(path)
    engine = engine_of(catalogue)
    engine.start()
    return engine, catalogue.specs[0]


# Of numpy about torch's tensors, raised by the scheduler that the second family comes with.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize(
    ("save", "reports"),
    [
        *((save, list(range(9))) for save in SAVERS.values()),
        (save_with_unknown_argument, list(range(9))),
        (save_pixart, list(range(9))),
        (save_ernie_image, list(range(9))),
        (save_latent_diffusion, [0, 4, 8]),
    ],
)
def test_any_pipeline_draws_reports_and_repeats(tmp_path: Path, save: Saver, reports: list[int]) -> None:
    engine, spec = served(tmp_path, save)
    choices = {"prompt": "black swan " * 40, "seed": 3, "width": 96, "height": 64}
    watcher = Recorder()

    together = engine.submit(image_request(Params.model_validate({**choices, "n": 2}), spec), watcher).result(
        30
    )
    alone = engine.submit(
        image_request(Params.model_validate({**choices, "seed": 4}), spec), Recorder()
    ).result(30)
    engine.close()

    assert [step for step, _ in watcher.reports] == reports
    assert picture(together.images[0]).size == (96, 64)
    assert together.images[0] != together.images[1] == alone.images[0]


class Witness(Recorder):
    """Remembers what it was told of images that are no pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, bool]] = []

    def on_no_numbers(self, model: str, *, mended: bool) -> None:
        self.told.append((model, mended))


@pytest.mark.parametrize("save", [save_pixart, SAVERS["StableDiffusionPipeline"]], ids=["whole", "rows"])
def test_an_image_of_no_numbers_fails_and_its_watcher_is_told(tmp_path: Path, save: Saver) -> None:
    engine, spec = served(tmp_path, save)
    good, bad = Witness(), Witness()
    asked = image_request(
        Params.model_validate({"prompt": "swan", "seed": 3, "width": 64, "height": 64}), spec
    )
    try:
        engine.submit(asked, good).result(30)
        vae = engine._residents.get(spec.name).pipeline.vae
        # In every precision.
        next(vae.decoder.parameters()).data.fill_(torch.nan)

        with pytest.raises(GenerationFailed, match="values that are no numbers"):
            engine.submit(asked, bad).result(30)
    finally:
        engine.close()

    assert (good.told, bad.told) == ([], [(spec.name, False)])


def test_a_pipeline_that_runs_whole_says_that_there_are_no_previews(tmp_path: Path) -> None:
    engine, spec = served(tmp_path, save_pixart)
    choices = {"prompt": "black swan", "seed": 3, "width": 64, "height": 64}

    told = [
        engine.submit(image_request(Params.model_validate({**choices, **more}), spec), Recorder())
        .result(30)
        .warnings
        for more in ({"partial_images": 2}, {})
    ]
    engine.close()

    assert [[each.code for each in warnings] for warnings in told] == [["previews_unavailable"], []]


@pytest.mark.parametrize("save", [save_pixart, save_latent_diffusion, save_with_unknown_argument])
def test_any_pipeline_stops(tmp_path: Path, save: Saver) -> None:
    engine, spec = served(tmp_path, save)
    request = image_request(Params(prompt="black swan", seed=3, n=2, width=64, height=64), spec)

    future = engine.submit(request, Recorder(stop_after=4))

    assert isinstance(future.exception(30), AttemptCancelled)
    engine.close()
