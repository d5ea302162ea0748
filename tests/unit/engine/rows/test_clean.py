"""What a prediction says of the clean latents, held against each scheduler's own words."""

from typing import Any

import diffusers
import pytest
import torch

from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of, tick
from tests.unit.engine.rows.test_families import every_family, scheduled_by
from worker.engine.rows.clean import clean_latents
from worker.engine.rows.row import Row

NOISE_SCHEDULERS = [
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
]
FLOW_SCHEDULERS = [
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
]
STEPS = 8
# Of numpy about torch's tensors, raised by some schedulers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


def row_of(scheduler: Any, latents: torch.Tensor, ticked: int) -> Row:
    timesteps = scheduler.timesteps
    return Row(scheduler, timesteps, latents, ({},), 1.0, STEPS, 64, 64, 0, ticked=ticked)


def scheduled(name: str, **settings: object) -> Any:
    scheduler = getattr(diffusers, name)(**settings)
    scheduler.set_timesteps(STEPS)
    return scheduler


def clean_and_noise() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(1, 4, 6, 8, generator=generator), torch.randn(1, 4, 6, 8, generator=generator)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("name", NOISE_SCHEDULERS)
def test_noise_that_the_scheduler_added_is_taken_away_again(name: str, prediction: str) -> None:
    scheduler, (clean, noise) = scheduled(name, prediction_type=prediction), clean_and_noise()

    for ticked in range(0, STEPS, 2):
        at = scheduler.timesteps[ticked : ticked + 1]
        alpha = scheduler.add_noise(torch.ones(1), torch.zeros(1), at)
        sigma = scheduler.add_noise(torch.zeros(1), torch.ones(1), at)
        velocity = (alpha * noise - sigma * clean) / (alpha**2 + sigma**2) ** 0.5
        said = {"epsilon": noise, "v_prediction": velocity, "sample": clean}[prediction]
        found = clean_latents(row_of(scheduler, scheduler.add_noise(clean, noise, at), ticked), said)

        assert found is not None
        assert (found - clean).abs().max() <= 1e-4


@pytest.mark.parametrize("name", [*FLOW_SCHEDULERS, "UniPCMultistepScheduler", "DPMSolverMultistepScheduler"])
def test_a_flow_is_followed_to_its_end(name: str) -> None:
    settings = (
        {} if name in FLOW_SCHEDULERS else {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    )
    scheduler, (clean, noise) = scheduled(name, **settings), clean_and_noise()

    for ticked in range(0, STEPS, 2):
        sigma = scheduler.sigmas[ticked]
        row = row_of(scheduler, (1 - sigma) * clean + sigma * noise, ticked)
        found = clean_latents(row, noise - clean)

        assert found is not None
        assert (found - clean).abs().max() <= 1e-5


@every_family
def test_the_last_prediction_points_to_where_the_row_ends(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    row = family.prepare(call_of(family.model, "black swan", 5, 3.0), 1)
    while row.ticked < len(row.timesteps) - 1:
        tick(family, [row])

    (prediction,) = family.predict([row])
    found = clean_latents(row, prediction)
    family.advance(row, prediction)

    assert found is not None
    assert found.shape == row.latents.shape
    assert found.dtype == row.latents.dtype
    assert torch.allclose(found, row.latents, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DDIMScheduler", {"clip_sample": False}),
        ("DPMSolverMultistepScheduler", {}),
        ("EulerAncestralDiscreteScheduler", {}),
        ("EulerDiscreteScheduler", {}),
        ("HeunDiscreteScheduler", {}),
        ("LCMScheduler", {}),
        ("UniPCMultistepScheduler", {}),
    ],
)
def test_with_every_kind_of_scheduler(adapted: Adapted, name: str, settings: dict[str, object]) -> None:
    family = adapted("StableDiffusionPipeline")
    with scheduled_by(family, name, {"timestep_spacing": "leading", **settings}):
        row = family.prepare(call_of(family.model, "black swan", 6, 3.0), 1)
    while row.ticked < len(row.timesteps) - 1:
        tick(family, [row])

    (prediction,) = family.predict([row])
    found = clean_latents(row, prediction)
    family.advance(row, prediction)

    assert found is not None
    assert torch.allclose(found, row.latents, rtol=1e-3, atol=1e-3)


def test_there_is_none_where_the_scheduler_is_unknown_or_half_way_through_a_step() -> None:
    clean, noise = clean_and_noise()
    heun = scheduled("HeunDiscreteScheduler")
    heun.step(noise, heun.timesteps[0], clean)

    assert clean_latents(row_of(scheduled("EDMEulerScheduler"), clean, 0), noise) is None
    assert clean_latents(row_of(heun, clean, 1), noise) is None
    assert clean_latents(row_of(scheduled("DDIMScheduler"), clean, 1), noise.repeat(1, 2, 1, 1)) is None
    inverted = scheduled("FlowMatchEulerDiscreteScheduler", invert_sigmas=True)
    assert clean_latents(row_of(inverted, clean, 1), noise) is None
