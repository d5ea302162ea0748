"""Tiny pipelines of other families, to see that the engine asks nothing of a pipeline but to be one."""

from pathlib import Path
from typing import Any

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LDMTextToImagePipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

WIDTH = 16
LETTERS = "▁abcdefghijklmnopqrstuvwxyz,.0123456789"


def save_flux(folder: Path) -> dict[str, Any]:
    """A transformer over packed latents, two tokenizers; returns what its entry needs."""
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_autoencoder(),
        text_encoder=_clip(77),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(),
        tokenizer_2=_t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=WIDTH,
            num_attention_heads=1,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
        ),
    )
    pipeline.save_pretrained(folder)
    return {
        "family": "FluxPipeline",
        "tokenizer": "tokenizer_2",
        "arguments": {"max_sequence_length": 32},
        "token_limit": 31,
    }


def save_pixart(folder: Path) -> dict[str, Any]:
    """A pipeline that takes only the older callback, with a scheduler that remembers several steps."""
    pipeline = PixArtSigmaPipeline(
        tokenizer=_t5_tokenizer(),
        text_encoder=_t5(),
        vae=_autoencoder(),
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
        vqvae=_autoencoder(),
        bert=_clip(77),
        tokenizer=_clip_tokenizer(),
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


def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        mid_block_add_attention=False,
        shift_factor=0.1,
        sample_size=64,
    )


def _clip(positions: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=32,
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=positions,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def _clip_tokenizer() -> CLIPTokenizer:
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *"abcdefghijklmn"]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(vocabulary)}, merges=[], model_max_length=77
    )


def _t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2)
    )


def _t5_tokenizer() -> T5Tokenizer:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return T5Tokenizer(vocab=special + [(letter, -3.0) for letter in LETTERS], extra_ids=0)
