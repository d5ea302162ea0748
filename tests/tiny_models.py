"""Tiny pipelines with random weights, saved as standard diffusers folders, and catalogues that offer them.

They load in a fraction of a second and draw a 64x64 picture in a few hundredths, so that a whole service can
run on one in a test.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WORDS = ["black swan", "red apple", "blue apple", "a tiny picture", "transparent background", "3d render"]
VOCABULARY = 640
TOKENS = 24
WIDTH = 16

TINY_ENTRY: dict[str, Any] = {
    "title": "Tiny",
    "description": "Random weights, for tests.",
    "family": "StableDiffusionPipeline",
    "memory_gib": 0.1,
    "licence": "Apache-2.0",
    "licence_url": "https://www.apache.org/licenses/LICENSE-2.0",
    "transparent": True,
    "negative_prompt": True,
    "token_limit": TOKENS - 2,
    "steps": {"low": 2, "medium": 4, "high": 6},
    "guidance": {"vivid": 5.0, "natural": 4.0},
    "prompt_templates": {
        "vivid": "{prompt}, 3d render",
        "natural": "{prompt}, flat",
        "transparent": "{prompt}, transparent background",
    },
    "sizes": {
        "native_width": 64,
        "native_height": 64,
        "multiple": 16,
        "min_area_px": 64 * 64,
        "max_area_px": 128 * 128,
        "max_side_px": 2048,
        "max_aspect": 4,
    },
}


def write_catalogue(folder: Path, **entries: Mapping[str, Any]) -> Path:
    """Write ``catalog.toml`` and the weights its entries need, and return its path.

    Args:
        folder: where to write; made if it is not there.
        entries: what each entry has other than ``TINY_ENTRY``; by default one entry, ``tiny``. The first is
            the default model. An entry with ``transparent = False`` gets weights without an alpha channel.
    """
    lines = [f"default = {json.dumps(next(iter(entries), 'tiny'))}"]
    for name, changes in (entries or {"tiny": {}}).items():
        entry = {"name": name, **TINY_ENTRY, **changes}
        if "weights" not in entry:
            entry["weights"] = "tiny-rgba" if entry["transparent"] else "tiny-rgb"
            save_tiny_pipeline(folder / entry["weights"], channels=4 if entry["transparent"] else 3)
        lines += ["[[model]]", *(f"{key} = {_toml(value)}" for key, value in entry.items())]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalog.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def save_tiny_pipeline(folder: Path, channels: int = 4, seed: int = 0) -> Path:
    """Save a tiny pipeline whose pictures have so many channels; nothing is done if it is already there."""
    if (folder / "model_index.json").exists():
        return folder
    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = StableDiffusionPipeline(
            vae=_autoencoder(channels),
            text_encoder=_text_encoder(),
            tokenizer=_tokenizer(),
            unet=_denoiser(),
            scheduler=DDIMScheduler(clip_sample=False, timestep_spacing="trailing", steps_offset=1),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _tokenizer() -> CLIPTokenizer:
    tokenizer = CLIPTokenizer().train_new_from_iterator(
        WORDS,
        vocab_size=VOCABULARY,
        end_of_word_suffix="</w>",
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.model_max_length = TOKENS
    return tokenizer


def _text_encoder() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            projection_dim=WIDTH,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def _denoiser() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def _autoencoder(channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        latent_channels=4,
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=64,
    )


def _toml(value: object) -> str:
    """Write a value as TOML, whose strings, numbers and lists are those of JSON."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
