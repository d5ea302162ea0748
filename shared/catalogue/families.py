"""What pipeline families can do: share forward passes, and begin with pictures."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class EditsBy(StrEnum):
    """How a model edits a picture."""

    IMAGE_TO_IMAGE = "image-to-image"
    """It begins with the picture, made noisy, in place of noise alone."""
    REFERENCE = "reference"
    """It looks at the picture, or at several, while it draws."""


_EDITS_BY: Final[Mapping[str, EditsBy]] = {
    "Flux2KleinPipeline": EditsBy.REFERENCE,
    "StableDiffusionPipeline": EditsBy.IMAGE_TO_IMAGE,
    "StableDiffusionXLPipeline": EditsBy.IMAGE_TO_IMAGE,
    "ZImagePipeline": EditsBy.IMAGE_TO_IMAGE,
}


def batched_families() -> frozenset[str]:
    """Return the pipeline classes whose images share forward passes; any other runs whole, one at a time."""
    return frozenset(
        {
            "ChromaPipeline",
            "FluxPipeline",
            "Flux2KleinPipeline",
            "LongCatImagePipeline",
            "QwenImagePipeline",
            "StableDiffusionPipeline",
            "StableDiffusion3Pipeline",
            "StableDiffusionXLPipeline",
            "ZImagePipeline",
        }
    )


def edits_of(family: str) -> EditsBy | None:
    """Return how a family edits pictures; nothing where it cannot.

    One that runs whole is asked by its own pipeline's argument ``image``, so it is always by reference.
    """
    return _EDITS_BY.get(family) if family in batched_families() else EditsBy.REFERENCE
