"""The three networks, with random weights, and the noise that they are trained against."""

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from training.config import Config


def autoencoder(config: Config, scale: float = 1.0) -> Any:  # noqa: ANN401 - diffusers is untyped
    """Return RGBA to latents and back; the side of the latents is a sixteenth.

    Args:
        config: sizes.
        scale: latents times this have a standard deviation of 1.
    """
    levels = len(config.autoencoder_channels)
    return AutoencoderKL(  # type: ignore[no-untyped-call]
        in_channels=4,
        out_channels=4,
        latent_channels=config.latent_channels,
        block_out_channels=config.autoencoder_channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=config.autoencoder_groups,
        mid_block_add_attention=False,
        sample_size=config.picture_px,
        scaling_factor=scale,
        force_upcast=False,
    )


def denoiser(config: Config) -> Any:  # noqa: ANN401
    """Return the network that predicts velocities from noisy latents, a timestep and encoded text."""
    levels = len(config.denoiser_channels)
    return UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=config.latent_px,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        block_out_channels=config.denoiser_channels,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        cross_attention_dim=config.text_width,
        attention_head_dim=[
            max(1, channels // config.head_channels) for channels in config.denoiser_channels
        ],
        norm_num_groups=config.denoiser_groups,
    )


def text_encoder(config: Config, vocabulary: int) -> Any:  # noqa: ANN401
    """Return the network that reads captions; it is trained from nothing, together with the denoiser."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=config.text_width,
            intermediate_size=4 * config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=config.text_heads,
            max_position_embeddings=config.tokens,
            projection_dim=config.text_width,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def scheduler() -> Any:  # noqa: ANN401
    """Return the noise schedule: velocities, and nothing but noise at its end."""
    return DDIMScheduler(  # type: ignore[no-untyped-call]
        1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def signal_and_noise(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how much of the picture, and of the noise, is left at each timestep; (1000,) each."""
    kept = scheduler().alphas_cumprod.to(device)
    return kept.sqrt(), (1 - kept).sqrt()
