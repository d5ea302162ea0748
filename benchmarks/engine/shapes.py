"""Models of published shapes with random weights: as slow as the real ones, and nothing to download."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from shared.catalogue import Catalogue, ModelSpec
from shared.settings import REPO_ROOT

TOKENS: Final = 77


def entry(name: str | None, folder: Path) -> tuple[ModelSpec, Path]:
    """Build a model of the catalogue with random weights; return its entry and the folder of the weights.

    Raises:
        SystemExit: there is no shape for it.
    """
    if name not in SHAPES:
        message = f"there are random weights for {', '.join(SHAPES)}; not for {name!r}"
        raise SystemExit(message)
    found = Catalogue.load(REPO_ROOT / "models" / "catalog.toml").find(name)
    if found is None:
        message = f"the catalogue has no {name!r}"
        raise SystemExit(message)
    torch.manual_seed(0)
    pipeline = SHAPES[name]()
    pipeline.to(getattr(torch, found.dtype)).save_pretrained(folder, safe_serialization=True)
    return found.model_copy(update={"weights": str(folder), "variant": None}), folder


def sd_turbo() -> Any:  # noqa: ANN401 - diffusers is untyped
    """Stable Diffusion 2.1, of which SD-Turbo is a distillation."""
    tokenizer = CLIPTokenizer.from_pretrained(REPO_ROOT / "models" / "glyph" / "tokenizer")
    tokenizer.model_max_length = TOKENS
    return StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=768,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=1024,
                intermediate_size=4096,
                num_hidden_layers=23,
                num_attention_heads=16,
                max_position_embeddings=TOKENS,
                hidden_act="gelu",
                projection_dim=512,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        ),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            attention_head_dim=(5, 10, 20, 20),
            cross_attention_dim=1024,
            layers_per_block=2,
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, timestep_spacing="trailing"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


SHAPES: Final[dict[str | None, Callable[[], Any]]] = {"sd-turbo": sd_turbo}
"""By the name of the catalogue's entry."""
