"""Stage 4: denoiser and text encoder together, on scenes that are composed and encoded once."""

import math
from pathlib import Path
from random import Random

import torch
from transformers import CLIPTokenizer

from training import tokens
from training.canvas import Canvas
from training.config import Config
from training.files import load, save
from training.loop import Budget, Run, Say, Step, device, normal
from training.networks import autoencoder, denoiser, signal_and_noise, text_encoder


def train(folder: Path, config: Config, budget: Budget, say: Say) -> float:
    """Train both, and keep their averaged weights in ``denoiser.pt``.

    Returns:
        The scale of the latents.
    """
    where = device()
    tokenizer = tokens.load(folder)
    latents, captions = encoded(folder, config, tokenizer, say)
    scale = 1 / latents[:2000].float().std().item()
    torch.manual_seed(config.seed)
    network = denoiser(config).to(where).to(memory_format=torch.channels_last)
    text = text_encoder(config, len(tokenizer)).to(where)
    run = Run(
        config,
        {"denoiser": network, "text": text},
        torch.optim.AdamW([*network.parameters(), *text.parameters()], betas=(0.9, 0.98), weight_decay=0.01),
        lambda step: (
            config.denoiser_rate
            * min(1, (step.number + 1) / config.warmup_steps)
            * (0.5 + 0.5 * math.cos(math.pi * step.share))
            + 1e-6
        ),
        folder / "checkpoints" / "denoiser.pt",
        average=config.average,
    )
    signal, noise_share = signal_and_noise(where)
    empty = ids(tokenizer, [""], config)

    def loss(step: Step) -> torch.Tensor:
        chosen = torch.randint(0, len(latents), (config.denoiser_batch,), generator=step.noise)
        clean = latents[chosen].to(where).float() * scale
        words = captions[chosen]
        dropped = torch.rand(len(chosen), generator=step.noise) < config.empty_captions
        words = torch.where(dropped[:, None], empty, words).to(where)
        at = timesteps(step, len(chosen)).to(where)
        noise = normal(step, clean.shape, where)
        kept, lost = signal[at][:, None, None, None], noise_share[at][:, None, None, None]
        noisy = (kept * clean + lost * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast(where.type, torch.bfloat16):
            said = text(words).last_hidden_state
            predicted = network(noisy, at, said).sample
        velocity = kept * noise - lost * clean
        error: torch.Tensor = (predicted.float() - velocity).square().mean()
        return error

    run.train(loss, budget, say)
    weights = {name: averaged.state_dict() for name, averaged in run.averaged.items()}
    save(folder / "denoiser.pt", {**weights, "scale": scale})
    return scale


def encoded(
    folder: Path, config: Config, tokenizer: CLIPTokenizer, say: Say
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the latents of every scene, float16, and its caption's tokens; composed once and kept."""
    file = folder / "scenes.pt"
    if file.exists():
        kept = load(file)
        return kept["latents"], kept["captions"]
    where = device()
    canvas = Canvas(folder, config.glyph_px, where)
    network = autoencoder(config).to(where).eval()
    network.load_state_dict(load(folder / "autoencoder.pt"))
    rng, latents = Random(config.seed + 10), []
    captions: list[str] = []
    while len(captions) < config.scenes:
        scenes = canvas.compose(min(config.encode_batch, config.scenes - len(captions)), rng)
        captions += [scene.caption for scene in scenes]
        with torch.no_grad(), torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
            found = network.encode(canvas.draw(scenes, config.picture_px)).latent_dist.mean
        latents.append(found.half().cpu())
        if len(latents) % 100 == 0:
            say(f"{len(captions)} of {config.scenes} scenes encoded")
    whole = {"latents": torch.cat(latents), "captions": ids(tokenizer, captions, config)}
    save(file, whole)
    return whole["latents"], whole["captions"]


def ids(tokenizer: CLIPTokenizer, captions: list[str], config: Config) -> torch.Tensor:
    """Return the tokens of captions, (captions, tokens), as the pipeline pads and cuts them."""
    read = tokenizer(
        captions, padding="max_length", max_length=config.tokens, truncation=True, return_tensors="pt"
    )
    found: torch.Tensor = read.input_ids
    return found


def timesteps(step: Step, count: int) -> torch.Tensor:
    """Return timesteps, mostly of the middle, where most is decided; any of them in every fourth step."""
    if step.number % 4 == 0:
        return torch.randint(0, 1000, (count,), generator=step.noise)
    drawn = torch.sigmoid(torch.randn(count, generator=step.noise) * 1.1 + 0.2)
    return drawn.mul(1000).long().clamp(0, 999)
