"""On a GPU every mode gives what the plain form gives, recorded or padded, and so does an engine."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.catalogue import Catalogue
from tests.unit.engine.drawing import Recorder, pixels
from tests.unit.engine.rows.test_tuning import calls
from tests.unit.engine.rows.tiny import SAVERS
from worker.engine import Engine, ImageRequest, TuningChoice
from worker.engine.models.arguments import first_request
from worker.engine.models.loading import load
from worker.engine.rows.families.registry import adapt
from worker.engine.rows.staging import STAGES, modes_of, stages_of
from worker.engine.stages.agreement import EXACT, INEXACT, relative_error
from worker.engine.stages.cuda import CudaRecorder
from worker.engine.stages.modes import CompiledBlocks, Mode, Recorded
from worker.engine.stages.stage import Stage
from worker.engine.stages.tuner import APART

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
CUDA = torch.device("cuda")
RECORDABLE = {"StableDiffusionPipeline", "StableDiffusionXLPipeline", "Flux2KleinPipeline"}
"""Pipelines of which every stage can be recorded."""
TinyFamily = Callable[[str], Catalogue]


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    torch.compiler.set_stance("default")
    yield
    torch.compiler.set_stance("default")
    torch.compiler.reset()


def stages(tiny_family: TinyFamily, name: str) -> tuple[tuple[Stage, tuple[Mode, ...]], ...]:
    """The stages of a tiny model on the GPU, each with its modes."""
    catalogue = tiny_family(name)
    spec = catalogue.specs[0]
    family = adapt(load(spec, Path(catalogue.check_weights(spec)), CUDA))
    assert family is not None
    return tuple((stage, modes_of(family, stage)) for stage in stages_of(family, calls(family)))


def bound(stage: Stage, mode: Mode, plain: list[torch.Tensor]) -> float:
    if mode.exact:
        return EXACT
    own = relative_error(plain, stage.exact()) if stage.exact is not None else INEXACT[stage.dtype]
    return max(EXACT, APART * own)


def check(stage: Stage, mode: Mode) -> bool:
    """Hold a mode against the plain form; whether it could be applied. It is undone in any case."""
    numbers = (1,) if mode.alone else (1, 2, 3)
    plain = {images: [tensor.clone() for tensor in stage.run(images)] for images in numbers}
    most = bound(stage, mode, plain[1])
    found = {}
    with suppress(RuntimeError, ImportError, ValueError):
        # Its kernel is for other devices or precisions, its package is not installed, or what it would
        # record looks at numbers on the device.
        mode.apply(stage)
        found = {images: [tensor.clone() for tensor in stage.run(images)] for images in numbers}
    mode.undo(stage)
    for images in found:
        assert relative_error(found[images], plain[images]) <= most, (stage.name, mode.name, images)
    assert relative_error(stage.run(1), plain[1]) <= EXACT, (stage.name, mode.name, "undone")
    return bool(found)


@pytest.mark.parametrize("name", list(SAVERS))
def test_every_mode_agrees_with_the_plain_form_and_can_be_undone(tiny_family: TinyFamily, name: str) -> None:
    worked = {
        (stage.name, mode.name)
        for stage, modes in stages(tiny_family, name)
        for mode in (*modes, *([Recorded(CudaRecorder(CUDA), (1, 2, 4))] if stage.graphs else []))
        if mode.applies(stage) and not isinstance(mode, CompiledBlocks) and check(stage, mode)
    }

    if name in RECORDABLE:
        assert {(stage, "graph") for stage in STAGES} <= worked


@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="triton needs a C compiler")
@pytest.mark.parametrize(
    ("name", "place"),
    [("Flux2KleinPipeline", 1), ("Flux2KleinPipeline", 2), ("StableDiffusionPipeline", 2)],
)
def test_what_is_compiled_agrees_and_can_be_recorded_on_top(
    tiny_family: TinyFamily, name: str, place: int
) -> None:
    stage, _ = stages(tiny_family, name)[place]
    compiled = CompiledBlocks(alone=stage.name == "decode")

    assert check(stage, compiled)
    compiled.apply(stage)
    assert check(stage, Recorded(CudaRecorder(CUDA), (1,) if compiled.alone else (1, 2, 4)))
    compiled.undo(stage)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "Flux2KleinPipeline"])
def test_a_tuned_engine_draws_a_crowd_as_one_that_is_not_tuned_draws_each(
    tiny_family: TinyFamily, tmp_path: Path, name: str
) -> None:
    catalogue = tiny_family(name)
    # In full precision: half of it makes something else of networks as small and as random as these.
    spec = catalogue.specs[0].model_copy(update={"dtype": "float32"})
    asked = [
        replace(first_request(spec, f"picture {i % 5}"), seeds=(i,), width=64 + 16 * (i % 2), steps=2)
        for i in range(24)
    ]

    def drawn(level: str, *, together: bool) -> list[np.ndarray]:
        choice = TuningChoice(level, tmp_path / f"{level}.json")
        engine = Engine({"other": (spec, catalogue.check_weights(spec))}, "cuda", tuning=choice)
        engine.start()
        try:
            return crowd(engine, asked) if together else [crowd(engine, [each])[0] for each in asked]
        finally:
            engine.close()

    plain, tuned = drawn("off", together=False), drawn("quick", together=True)

    # Of 255; convolutions on a GPU round to 10 bits even so.
    assert max(np.abs(one.astype(int) - other).mean() for one, other in zip(plain, tuned, strict=True)) < 1.5


def crowd(engine: Engine, asked: list[ImageRequest]) -> list[np.ndarray]:
    futures = [engine.submit(each, Recorder()) for each in asked]
    return [pixels(future.result(120).images[0]) for future in futures]
