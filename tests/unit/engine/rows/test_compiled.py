"""What is compiled gives what it gave, for every size, and nothing is compiled while requests wait."""

import shutil
from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters  # there is no public way to ask how often something was compiled

from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.test_tuning import calls
from worker.engine.rows.staging import stages_of
from worker.engine.stages.agreement import relative_error
from worker.engine.stages.modes import CompiledBlocks
from worker.engine.stages.stage import Stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
TRACED = "aot_eager"
"""Follows a network as the real backend does, and runs what it found without making C++ of it."""
with_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++")


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    torch.compiler.reset()
    # Whoever has tuned a model leaves another stance.
    torch.compiler.set_stance("default")
    yield
    torch.compiler.set_stance("default")
    torch.compiler.reset()


def check(stage: Stage, backend: str) -> None:
    plain = [[tensor.clone() for tensor in stage.run(images)] for images in (1, 2, 3)]
    mode = CompiledBlocks(alone=stage.name == "decode", backend=backend)
    strides = [weight.stride() for weight in stage.module.parameters()]

    assert mode.applies(stage)
    mode.apply(stage)
    for images in (1, 2):
        assert relative_error(stage.run(images), plain[images - 1]) < 1e-5
    compiled = counters["stats"]["unique_graphs"]
    torch.compiler.set_stance("eager_on_recompile")
    assert relative_error(stage.run(3), plain[2]) < 1e-5
    assert counters["stats"]["unique_graphs"] == compiled > 0
    mode.undo(stage)

    assert not any("forward" in vars(part) for part in stage.module.modules())
    assert relative_error(stage.run(1), plain[0]) < 1e-6
    assert [weight.stride() for weight in stage.module.parameters()] == strides


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (1, "QwenImagePipeline"),
        (2, "Flux2KleinPipeline"),
    ],
)
def test_a_stage_can_be_compiled_as_a_whole_for_every_number_of_images(
    adapted: Adapted, place: int, name: str
) -> None:
    family = adapted(name)

    check(stages_of(family, calls(family))[place], TRACED)


@with_compiler
@pytest.mark.timeout(300)
def test_what_is_really_compiled_gives_what_it_gave(adapted: Adapted) -> None:
    family = adapted("Flux2KleinPipeline")

    check(stages_of(family, calls(family))[1], "inductor")
