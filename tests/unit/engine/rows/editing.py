"""Rows that begin with pictures, as the engine begins them, and what the stock pipelines make of the same."""

from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from tests.unit.engine.rows.drawing import Call
from worker.engine.pictures.canvas import Canvas
from worker.engine.request import Edit
from worker.engine.rows.encoding import encode
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.row import Row

SIZE = (64, 48)
STOCK = {
    "StableDiffusionPipeline": ("StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"),
    "StableDiffusionXLPipeline": ("StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"),
    "ZImagePipeline": ("ZImageImg2ImgPipeline", "ZImageInpaintPipeline"),
    "Flux2KleinPipeline": ("Flux2KleinPipeline", "Flux2KleinInpaintPipeline"),
}
"""What edits without and with a mask, by the class of the family's pipeline."""


def picture_of(seed: int, size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """A picture of smooth colours, the same for a seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, len(mode)), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def mask_of(*box: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A mask that draws what lies in the box anew; soft at none of its edges."""
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def row_of(family: RowFamily, call: Call, seed: int, edit: Edit | None) -> Row:
    """A row, ready for its first step."""
    if edit is None:
        return family.prepare(call, seed)
    whole, size = family.call(call), (call["width"], call["height"])
    begins = edit.strength is not None or edit.mask is not None
    pictures = encode(family, family.pictures(edit, Canvas(edit, size, size) if begins else None))
    noise = family.draw(whole, seed, edit)
    row = family.begin(whole, family.text(whole), noise)
    family.begin_with(row, noise, pictures, edit)
    return row


def stock_edit(family: RowFamily, call: Call, seed: int, edit: Edit) -> torch.Tensor:
    """What the stock pipeline for such an edit draws; (channels, height, width), 0 to 1."""
    pipeline = stock_pipeline(family, masked=edit.mask is not None)
    asked: dict[str, Any] = {**call, "image": _images(edit)}
    if edit.strength is not None:
        asked["strength"] = edit.strength
    if edit.mask is not None:
        asked["mask_image"] = edit.mask
    if "StableDiffusion" in type(pipeline).__name__ and edit.mask is None:
        # They draw in the size of the picture.
        del asked["width"], asked["height"]
    if type(pipeline).__name__ == "Flux2KleinInpaintPipeline":
        asked |= {"strength": 1.0, "image": edit.images[0]}
        asked |= {"image_reference": edit.images[1]} if len(edit.images) > 1 else {}
    images: list[torch.Tensor] = pipeline(**asked, generator=[torch.Generator().manual_seed(seed)]).images
    return images[0]


def stock_pipeline(family: RowFamily, *, masked: bool) -> Any:
    """The stock pipeline, made of the same parts with a scheduler of its own."""
    of_family = family.pipeline
    name = STOCK[type(of_family).__name__][masked]
    kind = getattr(diffusers, name)
    parts = {**of_family.components, "scheduler": family.model.fresh_scheduler()}
    more = {"requires_safety_checker": False} if name.startswith("StableDiffusionI") else {}
    pipeline = kind(**parts, **more)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _images(edit: Edit) -> Any:
    return list(edit.images) if len(edit.images) > 1 else edit.images[0]
