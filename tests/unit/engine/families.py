"""Tiny pipelines without a row adapter, to see that the engine asks nothing of a pipeline but to be one."""

import json
import shutil
from pathlib import Path
from typing import Any

from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    LDMTextToImagePipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    Ministral3Config,
    Ministral3ForCausalLM,
    Mistral3Config,
    Mistral3Model,
    Qwen2Tokenizer,
    Qwen2VLImageProcessorPil,
)
from transformers.models.pixtral import PixtralVisionConfig
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from tests.tiny_models import save_tiny_pipeline
from tests.unit.engine.rows.tiny import (
    WIDTH,
    autoencoder,
    clip,
    clip_tokenizer,
    liven,
    qwen_tokenizer,
    qwen_vl,
    t5,
    t5_tokenizer,
)
from worker.engine.models.processors import PictureProcessor


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


def save_ernie_image(folder: Path) -> dict[str, Any]:
    """A pipeline that rewrites prompts with a model of its own unless it is told not to, and needs none."""
    text = Ministral3Config(
        vocab_size=64,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    vision = PixtralVisionConfig(
        hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=1, num_attention_heads=2, image_size=32
    )
    pipeline = ErnieImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=4.0),
        vae=AutoencoderKLFlux2(
            latent_channels=4,
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            norm_num_groups=4,
            mid_block_add_attention=False,
        ),
        text_encoder=Mistral3Model(Mistral3Config(text_config=text, vision_config=vision)),
        tokenizer=_word_tokenizer(),
        transformer=ErnieImageTransformer2DModel(
            hidden_size=2 * WIDTH,
            num_attention_heads=2,
            num_layers=1,
            ffn_hidden_size=WIDTH,
            in_channels=16,
            out_channels=16,
            text_in_dim=WIDTH,
            rope_axes_dim=(4, 6, 6),
        ),
        pe=Ministral3ForCausalLM(text),
        pe_tokenizer=_word_tokenizer(),
    )
    pipeline.save_pretrained(folder)
    return {
        "family": "ErnieImagePipeline",
        "without": ["pe", "pe_tokenizer"],
        "arguments": {"use_pe": False},
        "token_limit": 31,
    }


def save_qwen_image_edit(folder: Path) -> dict[str, Any]:
    """A pipeline that draws nothing without a picture, which it shows to its language model as well."""
    tokenizer = qwen_tokenizer()
    marks = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    start, end, image, video = map(tokenizer.convert_tokens_to_ids, marks)
    pipeline = QwenImageEditPlusPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        # It always looks at 1024 x 1024 pixels: they should be few tokens.
        vae=AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=4,
            dim_mult=[1] * 5,
            num_res_blocks=1,
            temperal_downsample=[False] * 4,
            latents_mean=[0.1, -0.2, 0.3, 0.0],
            latents_std=[1.0, 2.0, 0.5, 1.5],
        ),
        text_encoder=qwen_vl(
            vision_start_token_id=start, vision_end_token_id=end, image_token_id=image, video_token_id=video
        ),
        tokenizer=tokenizer,
        processor=PictureProcessor(Qwen2VLImageProcessorPil(), tokenizer),
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
    _as_published(folder, tokenizer)
    return {
        "family": "QwenImageEditPlusPipeline",
        "guidance_argument": "true_cfg_scale",
        "arguments": {"negative_prompt": " "},
        "token_limit": 400,
        "edits": {"by": "reference", "most_images": 3, "required": True},
        "prompt_templates": {},
    }


def _as_published(folder: Path, tokenizer: Qwen2Tokenizer) -> None:
    """Write the processor's class and files as they are in the repositories of its publisher."""
    index = json.loads((folder / "model_index.json").read_text())
    index["processor"] = ["transformers", "Qwen2VLProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    shutil.rmtree(folder / "processor")
    tokenizer.save_pretrained(folder / "processor")
    Qwen2VLImageProcessorPil().save_pretrained(folder / "processor")
    preprocessor = folder / "processor" / "preprocessor_config.json"
    told = {"processor_class": "Qwen2VLProcessor", "image_processor_type": "Qwen2VLImageProcessor"}
    preprocessor.write_text(json.dumps({**json.loads(preprocessor.read_text()), **told}))


def _word_tokenizer() -> TokenizersBackend:
    """A tokenizer of no class of its own."""
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "black": 1, "swan": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    return TokenizersBackend(tokenizer_object=tokenizer, unk_token="<unk>", model_max_length=32)


def save_with_unknown_argument(folder: Path) -> dict[str, Any]:
    """A pipeline that has a row adapter, with an argument that the adapter does not know."""
    save_tiny_pipeline(folder, channels=3)
    return {"arguments": {"num_images_per_prompt": 1}}
