"""Pictures to edit, and what is left of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.e2e.pictures import Pixels, pixels
from tests.odd_pictures import encoded, masking

SIZE = (96, 64)
HOLE = (32, 40)
"""The first column that the mask lays open, and how many there are."""


class Sent(NamedTuple):
    """The files of a request."""

    picture: Path
    another: Path
    mask: Path
    broken: Path


def write(folder: Path) -> Sent:
    """Write a picture of noise, which no model draws by itself, and what goes with it."""
    sent = Sent(*(folder / name for name in ("picture.png", "another.webp", "mask.png", "broken.png")))
    sent.picture.write_bytes(encoded(noise(1)))
    sent.another.write_bytes(encoded(noise(2), "webp", lossless=True))
    sent.mask.write_bytes(masking(SIZE, *HOLE))
    sent.broken.write_bytes(sent.picture.read_bytes()[:999])
    return sent


def noise(seed: int) -> Image.Image:
    """A picture of noise, the same for a seed."""
    shape = (SIZE[1], SIZE[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def outside(file: bytes) -> Pixels:
    """What the mask keeps of a picture."""
    left, width = HOLE
    return np.delete(pixels(file), slice(left, left + width), axis=1)


def inside(file: bytes) -> Pixels:
    """What the mask lays open of a picture."""
    left, width = HOLE
    return pixels(file)[:, left : left + width]


def assert_kept_outside(edited: bytes, picture: bytes) -> None:
    """Outside of the mask the picture is what it was, to the pixel, and nowhere inside it is."""
    assert (outside(edited) == outside(picture)).all()
    assert (inside(edited) != inside(picture)).any(axis=-1).mean() > 0.9
