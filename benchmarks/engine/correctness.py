"""Whether the engine draws what the stock pipeline draws: told before anything is told of speed."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image


@dataclass(frozen=True)
class Correctness:
    """How far the engine's pictures are from the stock pipeline's, of 255.

    Attributes:
        pictures: that were compared.
        mean: difference, of the picture where it is largest.
        spread: standard deviation within the stock pipeline's pictures, to hold a difference against.
    """

    pictures: int
    mean: float
    spread: float

    @property
    def said(self) -> str:
        """It in words."""
        return (
            f"the engine's pictures differ from the stock pipeline's by {self.mean:.3f} of 255 on average "
            f"in the worst of {self.pictures}; within a picture the spread is {self.spread:.1f}"
        )


def compared(stock: Sequence[bytes], ours: Sequence[bytes]) -> Correctness:
    """Compare encoded pictures of the same requests."""
    pairs = [(_pixels(one), _pixels(other)) for one, other in zip(stock, ours, strict=True)]
    means = [float(np.abs(one - other).mean()) for one, other in pairs]
    return Correctness(len(pairs), max(means), min(float(one.std()) for one, _ in pairs))


def _pixels(file: bytes) -> npt.NDArray[np.float32]:
    return np.asarray(Image.open(BytesIO(file)).convert("RGB"), np.float32)
