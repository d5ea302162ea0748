"""The pictures of an edit on their way to a row: as tensors on the CPU, then as latents on the device."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from worker.engine.pictures.canvas import on_white
from worker.engine.pictures.pixels import RGBA_CHANNELS, to_tensor

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """An edit's pictures as a family's autoencoder takes them, on the CPU.

    Attributes:
        canvas: what a row begins with, or keeps a part of: (1, 3 or 4, height, width), -1 to 1, of the size
            that is denoised.
        mask: (1, 1, height, width): 1 is drawn anew, 0 stays as it was.
        references: what a row looks at, (1, 3, height, width) each, -1 to 1.
    """

    canvas: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    references: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class EncodedPictures:
    """The same on the device, as the rows of one request share it.

    Attributes:
        mean: of the canvas's latents, in the autoencoder's own scale or packed, as the family takes them.
        deviation: what they vary by; nothing where their mean is what is taken.
        mask: of a shape that fits the latents: 1 is drawn anew, 0 stays.
        tokens: of all references, (1, tokens, channels).
        ids: of the tokens' places.
        sizes: of each reference.
    """

    mean: torch.Tensor | None = None
    deviation: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    ids: torch.Tensor | None = None
    sizes: tuple[Size, ...] = ()

    def tensors(self) -> Iterator[torch.Tensor]:
        """Return every tensor of it."""
        yield from (value for value in vars(self).values() if isinstance(value, torch.Tensor))

    @property
    def is_finite(self) -> bool:
        """Whether all its values are numbers."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.tensors())


def picture_tensor(picture: Image.Image, channels: int) -> torch.Tensor:
    """Return a picture as an autoencoder of so many channels takes it, (1, channels, height, width), -1 to 1.

    Args:
        picture: RGB or RGBA; without a place for its alpha it is composed on white.
        channels: 3 or 4; where there is no colour, because all is transparent, it is white.
    """
    if channels == RGBA_CHANNELS:
        pixels = np.array(picture.convert("RGBA"))
        pixels[pixels[..., 3] == 0, :3] = 255
        return 2.0 * to_tensor(pixels)[None] - 1.0
    return 2.0 * to_tensor(on_white(picture))[None] - 1.0


def mask_tensor(mask: Image.Image) -> torch.Tensor:
    """Return a mask, L, as (1, 1, height, width): what is half drawn anew or more is 1, the rest 0."""
    return (torch.from_numpy(np.array(mask)) / 255 >= 0.5).float()[None, None]  # noqa: PLR2004
