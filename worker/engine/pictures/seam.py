"""No seam where what was drawn meets what is kept of a picture, in a ground that both mean to be the same.

Autoencoders give colours back a little changed. What they made of the kept part is known just outside of the
mask, so the colours just inside are changed back by as much, and less so further in.
"""

from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

CELLS: Final = 64
"""A square has so many cells on each side, in which all lengths below are."""
RING: Final = 1
"""How far out it is looked at what became of the kept picture."""
REACH: Final = 3.0
"""Over how far that is averaged, as a standard deviation."""
DEPTH: Final = 5.0
"""The same of the mask, which tells how far in colours are changed."""
NEAR: Final = 16
"""What differs by more in a channel was drawn otherwise, and says nothing of colours."""
NO_CHANGE: Final = 128

Floats = npt.NDArray[np.float32]


def levelled(drawn: Image.Image, kept: Image.Image, mask: Image.Image) -> Image.Image:
    """Return what was drawn with its colours brought near to those of the kept picture at the mask's edge.

    Args:
        drawn: RGB, with what became of the kept part.
        kept: RGB, of the same size.
        mask: L, of the same size: 0 is kept, so nothing is said of what this returns there.
    """
    cell = max(1.0, sqrt(drawn.width * drawn.height) / CELLS)
    size = max(1, round(drawn.width / cell)), max(1, round(drawn.height / cell))
    ours, theirs, within = (each.resize(size, Image.Resampling.BOX) for each in (kept, drawn, mask))
    near_it = within.filter(ImageFilter.MaxFilter(2 * RING + 1))
    edge = (np.asarray(within) == 0) & (np.asarray(near_it) > 0)
    differs = np.asarray(ours, np.float32) - np.asarray(theirs, np.float32)
    known = edge & (np.abs(differs).max(axis=-1) <= NEAR)
    # Where only some of the edge nearby says something, only so much is changed.
    change = _around(differs * known[..., None], REACH) / np.maximum(_around(edge[..., None], REACH), 1e-6)
    inside = _around(np.asarray(within)[..., None] / np.float32(255), DEPTH)
    inside /= _around(np.ones((*edge.shape, 1)), DEPTH)
    change *= np.clip(2 - 2 * inside, 0, 1)
    told = Image.fromarray(np.rint(change + NO_CHANGE).astype(np.uint8))
    return ImageChops.add(drawn, told.resize(drawn.size, Image.Resampling.BILINEAR), offset=-NO_CHANGE)


def _around(values: npt.NDArray[Any], deviation: float) -> Floats:
    """Sum up what lies around each by a Gaussian that is 1 in its middle; (height, width, channels)."""
    along_height, along_width = (_gaussian(side, deviation) for side in values.shape[:2])
    channels = np.moveaxis(values, -1, 0).astype(np.float32)
    return np.moveaxis(along_height @ channels @ along_width, 0, -1).astype(np.float32)


def _gaussian(side: int, deviation: float) -> Floats:
    places = np.arange(side, dtype=np.float32)
    weights: Floats = np.exp(-(((places[:, None] - places) / deviation) ** 2) / 2)
    return weights
