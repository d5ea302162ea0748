"""Random weights have the shapes that were published, and draw without ending in numbers that are none."""

import pytest
import torch

from benchmarks.engine.shapes import SHAPES, empty, fill

# Millions of parameters, as the publishers' weights have them.
PUBLISHED = {
    "sd-turbo": {"unet": 866, "text_encoder": 340, "vae": 84},
    "sdxl-lightning": {"unet": 2567, "text_encoder": 123, "text_encoder_2": 695, "vae": 84},
    "flux.2-klein-4b": {"transformer": 3876, "text_encoder": 4022, "vae": 84},
    "z-image-turbo": {"transformer": 6155, "text_encoder": 4022, "vae": 84},
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_shape_has_as_many_parameters_as_the_model(name: str) -> None:
    pipeline = empty(name)

    components = {
        part: component
        for part, component in pipeline.components.items()
        if isinstance(component, torch.nn.Module)
    }
    millions = {
        part: round(sum(weight.numel() for weight in component.parameters()) / 1e6)
        for part, component in components.items()
    }
    assert millions == PUBLISHED[name]
    assert all(weight.is_meta for component in components.values() for weight in component.parameters())


def test_every_published_shape_is_checked() -> None:
    assert set(SHAPES) == set(PUBLISHED)


def test_filling_gives_memory_keeps_ties_and_stays_finite() -> None:
    with torch.device("meta"):
        block = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 8))
    block[2].weight = block[0].weight

    fill(block, torch.bfloat16)

    assert block[2].weight is block[0].weight
    assert block[0].weight.dtype == torch.bfloat16
    assert block[0].weight.std() > 0
    assert block(torch.ones(1, 8, dtype=torch.bfloat16)).isfinite().all()
