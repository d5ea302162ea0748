"""The clean latents that a prediction points to, by the scheduler of the row.

Not every scheduler tells them and some tell them only as a by-product of a step, so they are worked out here,
from what the denoiser was given and what it said. Schedulers that are not known here get no previews: a wrong
picture is worse than none.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import torch

from worker.engine.rows.row import Row


class Level(NamedTuple):
    """How noisy latents are: scaled latents = alpha * clean + sigma * noise."""

    alpha: Any
    sigma: Any
    scale: Any = 1.0
    """Latents times this are scaled ones."""


def clean_latents(row: Row, prediction: torch.Tensor) -> torch.Tensor | None:
    """Return the latents that the row would end with if its denoiser were right, or nothing if unknown.

    Args:
        row: before it advances.
        prediction: of the denoiser for its next tick, guided; shaped as the latents.

    Source: the definitions of the predictions; tests hold them against each scheduler's own way to add noise.
    """
    scheduler = row.scheduler
    level_of = _LEVELS.get(type(scheduler).__name__)
    # Between the two halves of a step of the second order the latents lie at a level of their own.
    whole_step = getattr(scheduler, "state_in_first_order", True)
    if level_of is None or not whole_step or prediction.shape != row.latents.shape:
        return None
    kind = scheduler.config.get("prediction_type", "flow_prediction")
    if kind not in _CLEAN or scheduler.config.get("invert_sigmas"):
        return None
    level = level_of(scheduler, row)
    clean = _CLEAN[kind](row.latents.float() * level.scale, prediction.float(), level)
    return clean.to(row.latents.dtype)


def _cumulative(scheduler: Any, row: Row) -> Level:  # noqa: ANN401 - schedulers share no base class
    alpha = scheduler.alphas_cumprod[int(row.timestep)]
    return Level(alpha**0.5, (1 - alpha) ** 0.5)


def _exploding(scheduler: Any, row: Row) -> Level:  # noqa: ANN401
    sigma = scheduler.sigmas[row.place]
    scale = (sigma**2 + 1) ** -0.5
    return Level(scale, sigma * scale, scale)


def _solved(scheduler: Any, row: Row) -> Level:  # noqa: ANN401
    return Level(*scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[row.place]))  # noqa: SLF001


def _flow(scheduler: Any, row: Row) -> Level:  # noqa: ANN401
    sigma = scheduler.sigmas[row.place]
    return Level(1 - sigma, sigma)


_LEVELS: Final[Mapping[str, Callable[[Any, Row], Level]]] = {
    **dict.fromkeys(
        ("DDIMScheduler", "DDPMScheduler", "LCMScheduler", "PNDMScheduler", "TCDScheduler"), _cumulative
    ),
    **dict.fromkeys(
        (
            "EulerAncestralDiscreteScheduler",
            "EulerDiscreteScheduler",
            "HeunDiscreteScheduler",
            "KDPM2AncestralDiscreteScheduler",
            "KDPM2DiscreteScheduler",
        ),
        _exploding,
    ),
    **dict.fromkeys(
        (
            "DEISMultistepScheduler",
            "DPMSolverMultistepScheduler",
            "DPMSolverSinglestepScheduler",
            "SASolverScheduler",
            "UniPCMultistepScheduler",
        ),
        _solved,
    ),
    **dict.fromkeys(
        ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler"), _flow
    ),
}
"""By the scheduler's class."""

_CLEAN: Final[Mapping[str, Callable[[torch.Tensor, torch.Tensor, Level], torch.Tensor]]] = {
    "epsilon": lambda latents, noise, level: (latents - level.sigma * noise) / level.alpha,
    "sample": lambda _latents, clean, _level: clean,
    "v_prediction": lambda latents, velocity, level: level.alpha * latents - level.sigma * velocity,
    "flow_prediction": lambda latents, velocity, level: latents - level.sigma * velocity,
}
"""By what the denoiser predicts."""
