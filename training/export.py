"""Stage 5: everything as one folder in the layout of diffusers, in half precision."""

import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from training import tokens
from training.config import Config
from training.files import load
from training.networks import autoencoder, denoiser, scheduler, text_encoder


def export(folder: Path, output: Path, config: Config) -> None:
    """Write the pipeline; what is there already is replaced once the new one is whole."""
    kept = load(folder / "denoiser.pt")
    tokenizer = tokens.load(folder)
    vae = autoencoder(config, round(kept["scale"], 6))
    vae.load_state_dict(load(folder / "autoencoder.pt"))
    unet = denoiser(config)
    unet.load_state_dict(kept["denoiser"])
    text = text_encoder(config, len(tokenizer))
    text.load_state_dict(kept["text"])
    pipeline: Any = StableDiffusionPipeline(  # type: ignore[no-untyped-call]
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    unfinished = output.with_name(output.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(unfinished, safe_serialization=True)
    shutil.rmtree(output, ignore_errors=True)
    unfinished.rename(output)
