"""Which timesteps a row goes through, as the pipelines ask their schedulers for them."""

import inspect
from typing import Any

import numpy as np
import torch

from worker.engine.models.arguments import Call


def timesteps_of(scheduler: Any, steps: int, device: torch.device, schedule: dict[str, Any]) -> torch.Tensor:  # noqa: ANN401
    """Set a scheduler's timesteps and return them, (ticks,).

    Source: ``retrieve_timesteps`` of diffusers' pipelines; each has a copy, in a module that takes long to
    import and warns meanwhile.
    """
    given = dict(schedule)
    sigmas = given.pop("sigmas", None)
    if sigmas is None:
        scheduler.set_timesteps(steps, device=device, **given)
    else:
        scheduler.set_timesteps(sigmas=sigmas, device=device, **given)
    timesteps: torch.Tensor = scheduler.timesteps
    return timesteps


def flow_sigmas(pipeline: Any, call: Call) -> Any:  # noqa: ANN401
    """Return the noise levels that flow pipelines ask for, unless the scheduler makes its own."""
    steps = call["num_inference_steps"]
    if pipeline.scheduler.config.get("use_flow_sigmas"):
        return None
    return np.linspace(1.0, 1 / steps, steps)


def noised(
    scheduler: Any,  # noqa: ANN401 - schedulers share no base class
    latents: torch.Tensor,
    noise: torch.Tensor,
    timestep: torch.Tensor,
) -> torch.Tensor:
    """Return latents with noise, as much as a scheduler has at a timestep, (1,): its first, or its next."""
    mixed: torch.Tensor
    if hasattr(scheduler, "scale_noise"):
        mixed = scheduler.scale_noise(latents, timestep, noise)
    else:
        mixed = scheduler.add_noise(latents, noise, timestep)
    return mixed


def noise_from(scheduler: Any, generator: list[torch.Generator]) -> dict[str, Any]:  # noqa: ANN401
    """Return what makes a flow scheduler's steps draw their noise from the row's own generator.

    The flow pipelines leave it to torch's global one, so that a seed would not repeat its picture.
    """
    takes_one = "generator" in inspect.signature(scheduler.step).parameters
    return {"generator": generator[0]} if takes_one else {}


def shift_of(pipeline: Any, tokens: int, max_shift: float = 1.15) -> float:  # noqa: ANN401
    """Return how far the timesteps of an image of so many tokens are shifted.

    Source: ``calculate_shift`` of diffusers' ``pipeline_flux``.
    """
    config = pipeline.scheduler.config
    least, most = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", max_shift)
    slope = (high - low) / (most - least)
    return float(tokens * slope + (low - slope * least))
