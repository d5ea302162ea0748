"""Tiny pipelines without a row adapter, to see that the engine asks nothing of a pipeline but to be one."""

from pathlib import Path
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    LDMTextToImagePipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    UNet2DConditionModel,
)

from tests.tiny_models import save_tiny_pipeline
from tests.unit.engine.rows.tiny import WIDTH, autoencoder, clip, clip_tokenizer, t5, t5_tokenizer


def save_pixart(folder: Path) -> dict[str, Any]:
    """A pipeline that takes only the older callback, with a scheduler that remembers several steps."""
    pipeline = PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(),
        vae=autoencoder(shift_factor=0.1),
        scheduler=DPMSolverMultistepScheduler(),
        transformer=PixArtTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            cross_attention_dim=16,
            sample_size=8,
            caption_channels=WIDTH,
            use_additional_conditions=False,
        ),
    )
    pipeline.save_pretrained(folder)
    return {
        "family": "PixArtSigmaPipeline",
        "arguments": {"use_resolution_binning": False, "clean_caption": False, "max_sequence_length": 32},
        "token_limit": 31,
    }


def save_latent_diffusion(folder: Path) -> dict[str, Any]:
    """A pipeline that takes no callback at all and answers with arrays."""
    pipeline = LDMTextToImagePipeline(
        vqvae=autoencoder(shift_factor=0.1),
        bert=clip(),
        tokenizer=clip_tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
    )
    pipeline.save_pretrained(folder)
    return {"family": "LDMTextToImagePipeline"}


def save_with_unknown_argument(folder: Path) -> dict[str, Any]:
    """A pipeline that has a row adapter, with an argument that the adapter does not know."""
    save_tiny_pipeline(folder, channels=3)
    return {"arguments": {"num_images_per_prompt": 1}}
