"""Stage 3: the autoencoder, on crops of composed scenes."""

import math
from pathlib import Path
from random import Random
from typing import Any

import torch

from training.canvas import Canvas, over
from training.config import Config
from training.files import save
from training.loop import Budget, Run, Say, Step, device, normal
from training.networks import autoencoder

CHECKED_SCENES = 12


def train(folder: Path, config: Config, budget: Budget, say: Say) -> float:
    """Train it, and keep its averaged weights in ``autoencoder.pt``.

    Returns:
        The peak signal-to-noise ratio of whole scenes over white, in dB.
    """
    where = device()
    canvas = Canvas(folder, config.glyph_px, where)
    torch.manual_seed(config.seed)
    network = autoencoder(config).to(where).to(memory_format=torch.channels_last)
    run = Run(
        config,
        {"autoencoder": network},
        torch.optim.AdamW(network.parameters(), betas=(0.9, 0.99), weight_decay=0.005),
        lambda step: config.autoencoder_rate * min(1, (step.number + 1) / 200) * (1 - step.share) + 2e-6,
        folder / "checkpoints" / "autoencoder.pt",
        average=min(config.average, 0.999),
    )
    run.train(lambda step: _loss(network, _crops(canvas, config, step), config, step), budget, say)
    averaged = run.averaged["autoencoder"]
    save(folder / "autoencoder.pt", averaged.state_dict())
    return _check(averaged, canvas, config)


def _crops(canvas: Canvas, config: Config, step: Step) -> torch.Tensor:
    pictures = canvas.draw(canvas.compose(config.autoencoder_batch, step.rng), config.picture_px)
    top, left = (step.rng.randrange(0, config.picture_px - config.crop_px + 1, 8) for _ in range(2))
    crops = pictures[:, :, top : top + config.crop_px, left : left + config.crop_px]
    return crops.contiguous(memory_format=torch.channels_last)


def _loss(network: Any, pictures: torch.Tensor, config: Config, step: Step) -> torch.Tensor:  # noqa: ANN401
    """What differs over white, black and any colour; the alpha; and how far latents are from noise."""
    with torch.autocast(pictures.device.type, torch.bfloat16):
        found = network.encode(pictures).latent_dist
        noise = normal(step, found.mean.shape, pictures.device)
        drawn = network.decode(found.mean + noise * torch.exp(0.5 * found.logvar)).sample
    drawn = drawn.float()
    colour = torch.rand(len(pictures), 3, 1, 1, generator=step.noise).to(pictures.device) * 2 - 1
    loss: torch.Tensor = torch.zeros((), device=pictures.device)
    for background in (-1.0, 1.0, colour):
        difference = over(drawn, background) - over(pictures, background)
        loss = loss + difference.abs().mean() + 2 * difference.square().mean()
        loss = loss + 0.5 * (difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean())
    loss = loss / 3 + 0.5 * (drawn[:, 3] - pictures[:, 3]).abs().mean()
    loss = loss + 0.02 * (drawn - pictures).abs().mean()
    mean, logvar = found.mean.float(), found.logvar.float()
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    whole: torch.Tensor = loss + config.divergence_weight * divergence
    return whole


@torch.no_grad()
def _check(network: Any, canvas: Canvas, config: Config) -> float:  # noqa: ANN401
    scenes = canvas.compose(CHECKED_SCENES, Random(7))
    pictures = canvas.draw(scenes, config.picture_px)
    drawn = network.decode(network.encode(pictures).latent_dist.mean).sample.clamp(-1, 1)
    error = ((over(drawn, 1.0) - over(pictures, 1.0)) / 2).square().mean().item()
    return -10 * math.log10(max(error, 1e-12))
