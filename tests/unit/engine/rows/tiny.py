"""Tiny pipelines with random weights of every family that has a row adapter, saved as diffusers folders.

Each function returns what the pipeline's catalogue entry needs beside the usual.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    LongCatImagePipeline,
    LongCatImageTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tests.tiny_models import save_tiny_pipeline

WIDTH = 16
LETTERS = "▁abcdefghijklmnopqrstuvwxyz,.0123456789"
CHAT = "{% for message in messages %}<u>{{ message['content'] }}</u>{% endfor %}<a>"
BEGINS = {"by": "image-to-image", "masks": True, "strength": {"low": 0.8, "high": 0.4}}
LOOKS = {"by": "reference", "masks": True, "most_images": 4}
RGB = "StableDiffusionPipeline, RGB"


def save_stable_diffusion(folder: Path) -> dict[str, Any]:
    save_tiny_pipeline(folder)
    return {"family": "StableDiffusionPipeline", "transparent": True, "token_limit": 22, "edits": BEGINS}


def save_stable_diffusion_rgb(folder: Path) -> dict[str, Any]:
    """The same without an alpha channel, as diffusers' own image-to-image takes it."""
    save_tiny_pipeline(folder, channels=3)
    return {"family": "StableDiffusionPipeline", "token_limit": 22, "edits": BEGINS}


def save_stable_diffusion_xl(folder: Path) -> dict[str, Any]:
    pipeline = StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=clip(CLIPTextModel),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=2 * WIDTH,
            attention_head_dim=4,
            norm_num_groups=4,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(timestep_spacing="trailing"),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return {"family": "StableDiffusionXLPipeline", "token_limit": 75, "edits": BEGINS}


def save_flux(folder: Path) -> dict[str, Any]:
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder(shift_factor=0.1),
        text_encoder=clip(CLIPTextModel),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5(),
        tokenizer_2=t5_tokenizer(),
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
            guidance_embeds=True,
        ),
    )
    liven(pipeline.transformer)
    pipeline.save_pretrained(folder)
    return {
        "family": "FluxPipeline",
        "tokenizer": "tokenizer_2",
        "arguments": {"max_sequence_length": 32},
        "token_limit": 31,
    }


def save_chroma(folder: Path) -> dict[str, Any]:
    pipeline = ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder(shift_factor=0.1),
        text_encoder=t5(),
        tokenizer=t5_tokenizer(),
        transformer=ChromaTransformer2DModel(
            in_channels=16,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=WIDTH,
            num_attention_heads=1,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
            approximator_num_channels=WIDTH,
            approximator_hidden_dim=WIDTH,
            approximator_layers=1,
        ),
    )
    liven(pipeline.transformer)
    pipeline.save_pretrained(folder)
    return {"family": "ChromaPipeline", "arguments": {"max_sequence_length": 32}, "token_limit": 30}


def save_flux2_klein(folder: Path) -> dict[str, Any]:
    vae = AutoencoderKLFlux2(
        latent_channels=4,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 1.5)
    pipeline = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=_qwen3(Qwen3ForCausalLM, layers=28),
        tokenizer=qwen_tokenizer(),
        transformer=Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=WIDTH,
            num_attention_heads=1,
            joint_attention_dim=3 * WIDTH,
            timestep_guidance_channels=8,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
    )
    liven(pipeline.transformer)
    pipeline.save_pretrained(folder)
    return {
        "family": "Flux2KleinPipeline",
        "arguments": {"max_sequence_length": 48},
        "negative_prompt": False,
        "token_limit": 40,
        "edits": LOOKS,
    }


def save_z_image(folder: Path) -> dict[str, Any]:
    pipeline = ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(shift_factor=0.1),
        text_encoder=_qwen3(Qwen3Model, layers=2),
        tokenizer=qwen_tokenizer(),
        transformer=ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=WIDTH,
            axes_dims=[4, 6, 6],
            axes_lens=[512, 64, 64],
        ),
    )
    liven(pipeline.transformer)
    pipeline.save_pretrained(folder)
    return {
        "family": "ZImagePipeline",
        "arguments": {"max_sequence_length": 128},
        "token_limit": 120,
        "edits": BEGINS,
    }


def save_stable_diffusion_3(folder: Path) -> dict[str, Any]:
    pipeline = StableDiffusion3Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(shift_factor=0.1),
        text_encoder=clip(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5(2 * WIDTH),
        tokenizer_3=t5_tokenizer(),
        transformer=SD3Transformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=WIDTH,
            pooled_projection_dim=2 * WIDTH,
            pos_embed_max_size=32,
        ),
    )
    liven(pipeline.transformer)
    pipeline.save_pretrained(folder)
    return {
        "family": "StableDiffusion3Pipeline",
        "tokenizer": "tokenizer_3",
        "arguments": {"max_sequence_length": 32},
        "token_limit": 31,
    }


def save_longcat_image(folder: Path) -> dict[str, Any]:
    pipeline = LongCatImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder(shift_factor=0.1, channels=16),
        text_encoder=qwen_vl(),
        tokenizer=qwen_tokenizer(),
        text_processor=None,
        transformer=LongCatImageTransformer2DModel(
            in_channels=64,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=WIDTH,
            num_attention_heads=1,
            joint_attention_dim=WIDTH,
            axes_dims_rope=[4, 4, 8],
        ),
    )
    liven(pipeline.transformer)
    pipeline.save_pretrained(folder)
    return {
        "family": "LongCatImagePipeline",
        "without": ["text_processor"],
        "arguments": {"enable_prompt_rewrite": False},
        "token_limit": 400,
    }


def qwen_vl(**tokens: int) -> Any:
    """Without weights to speak of; ``tokens`` are those that stand for pictures."""
    text = {
        "vocab_size": 320,
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0},
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    vision = {
        "depth": 1,
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [0],
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens)
    return Qwen2_5_VLForConditionalGeneration(config)


def save_qwen_image(folder: Path) -> dict[str, Any]:
    pipeline = QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.1, -0.2, 0.3, 0.0],
            latents_std=[1.0, 2.0, 0.5, 1.5],
        ),
        text_encoder=qwen_vl(),
        tokenizer=qwen_tokenizer(),
        transformer=QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=WIDTH,
            num_attention_heads=1,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(4, 6, 6),
        ),
    )
    liven(pipeline.transformer)
    pipeline.save_pretrained(folder)
    return {
        "family": "QwenImagePipeline",
        "guidance_argument": "true_cfg_scale",
        "arguments": {"negative_prompt": " "},
        "token_limit": 400,
    }


SAVERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "StableDiffusionPipeline": save_stable_diffusion,
    "StableDiffusionXLPipeline": save_stable_diffusion_xl,
    "ChromaPipeline": save_chroma,
    "FluxPipeline": save_flux,
    "Flux2KleinPipeline": save_flux2_klein,
    "ZImagePipeline": save_z_image,
    "StableDiffusion3Pipeline": save_stable_diffusion_3,
    "LongCatImagePipeline": save_longcat_image,
    "QwenImagePipeline": save_qwen_image,
}

MORE_SAVERS = {**SAVERS, RGB: save_stable_diffusion_rgb}
"""Variants of them, too."""


def liven(network: torch.nn.Module) -> None:
    """Make text and timestep matter: fresh transformers start near to doing nothing."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)


def autoencoder(shift_factor: float | None = None, channels: int = 4) -> AutoencoderKL:
    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        mid_block_add_attention=False,
        shift_factor=shift_factor,
        sample_size=64,
    )


def clip(kind: type[CLIPTextModel] = CLIPTextModel) -> Any:
    config = CLIPTextConfig(
        vocab_size=32,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=WIDTH,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return kind(config)


def clip_tokenizer() -> CLIPTokenizer:
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *"abcdefghijklmn"]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(vocabulary)}, merges=[], model_max_length=77
    )


def t5(width: int = WIDTH) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=width, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2)
    )


def t5_tokenizer() -> T5Tokenizer:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return T5Tokenizer(vocab=special + [(letter, -3.0) for letter in LETTERS], extra_ids=0)


def _qwen3(kind: type[Qwen3Model] | type[Qwen3ForCausalLM], layers: int) -> Any:
    config = Qwen3Config(
        vocab_size=320,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return kind(config)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """One token a byte."""
    vocabulary = ["<|endoftext|>", *sorted(ByteLevel.alphabet())]
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate(vocabulary)}, merges=[], model_max_length=1024
    )
    tokenizer.chat_template = CHAT
    return tokenizer
