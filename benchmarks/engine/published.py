"""Pipelines of published shapes: what their publishers' configurations say, and no weights.

Made inside ``init_empty_weights`` their parameters take no memory until they are filled.
"""

from typing import Any, Final

from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    StableDiffusionPipeline,
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
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
)

from shared.settings import REPO_ROOT

TOKENS: Final = 77
CHAT: Final = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def sd_turbo() -> Any:  # noqa: ANN401 - diffusers is untyped
    """Stable Diffusion 2.1, of which SD-Turbo is a distillation."""
    return StableDiffusionPipeline(
        vae=_autoencoder(latent_channels=4, sample_size=768),
        text_encoder=_clip(CLIPTextModel, width=1024, layers=23, activation="gelu"),
        tokenizer=_clip_tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            attention_head_dim=(5, 10, 20, 20),
            cross_attention_dim=1024,
            layers_per_block=2,
            use_linear_projection=True,
        ),
        scheduler=_euler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:  # noqa: ANN401
    """Stable Diffusion XL 1.0, of which SDXL-Lightning replaces the denoiser's weights."""
    return StableDiffusionXLPipeline(
        vae=_autoencoder(latent_channels=4, sample_size=1024, scaling_factor=0.13025),
        text_encoder=_clip(CLIPTextModel, width=768, layers=12, activation="quick_gelu"),
        text_encoder_2=_clip(CLIPTextModelWithProjection, width=1280, layers=32, activation="gelu"),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=128,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(320, 640, 1280),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            layers_per_block=2,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        ),
        scheduler=_euler(),
        add_watermarker=False,
    )


def flux2_klein_4b() -> Any:  # noqa: ANN401
    """FLUX.2 [klein] 4B, with Qwen3 4B reading the words."""
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLFlux2(),
        text_encoder=Qwen3ForCausalLM(_qwen3_4b()),
        tokenizer=_byte_tokenizer(),
        transformer=Flux2Transformer2DModel(
            in_channels=128,
            num_layers=5,
            num_single_layers=20,
            attention_head_dim=128,
            num_attention_heads=24,
            joint_attention_dim=7680,
            guidance_embeds=False,
        ),
        is_distilled=True,
    )


def z_image_turbo() -> Any:  # noqa: ANN401
    """Z-Image-Turbo 6B, with Qwen3 4B reading the words."""
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_autoencoder(
            latent_channels=16,
            sample_size=1024,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=Qwen3Model(_qwen3_4b()),
        tokenizer=_byte_tokenizer(),
        transformer=ZImageTransformer2DModel(),  # the class's defaults are its shape
    )


def _autoencoder(**options: Any) -> AutoencoderKL:  # noqa: ANN401
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        **options,
    )


def _euler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, timestep_spacing="trailing"
    )


def _clip_tokenizer() -> CLIPTokenizer:
    """Return the shipped model's: what a prompt is cut into takes the same time whatever the words are."""
    tokenizer = CLIPTokenizer.from_pretrained(REPO_ROOT / "models" / "glyph" / "tokenizer")
    tokenizer.model_max_length = TOKENS
    return tokenizer


def _clip(kind: type[Any], width: int, layers: int, activation: str) -> Any:  # noqa: ANN401
    heads = width // 64
    return kind(
        CLIPTextConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=TOKENS,
            hidden_act=activation,
            projection_dim=width,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def _qwen3_4b() -> Qwen3Config:
    return Qwen3Config(
        vocab_size=151_936,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40_960,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )


def _byte_tokenizer() -> Qwen2Tokenizer:
    """One token a byte: Qwen's own vocabulary is not here, and padding brings every prompt to one length."""
    vocabulary = ["<|endoftext|>", *sorted(ByteLevel.alphabet())]
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate(vocabulary)}, merges=[], model_max_length=4096
    )
    tokenizer.chat_template = CHAT
    return tokenizer
