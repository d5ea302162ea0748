"""Continues a picture's background beyond two of its sides, for sizes longer than its model draws."""

import numpy as np
import numpy.typing as npt
from PIL import Image

RIM = 1 / 64
"""Share of the short side that is left out at a continued border: decoders draw it badly."""
STRIP = 1 / 16
"""Share of the short side over which the border's colours are averaged and blended in."""

Floats = npt.NDArray[np.float32]


def continue_background(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Set a picture in the middle of a longer one, whose ends take the colours of its borders.

    Args:
        picture: RGB or RGBA, of the asked width or height; RGBA is continued by nothing at all.
        width: asked width in pixels, at least the picture's.
        height: asked height in pixels, at least the picture's.
    """
    if picture.mode == "RGBA":
        canvas = Image.new("RGBA", (width, height))
        canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
        return canvas
    pixels = np.asarray(picture)
    if picture.width < width:
        return Image.fromarray(_widen(pixels, width))
    widened = _widen(pixels.transpose(1, 0, 2), height)
    return Image.fromarray(np.ascontiguousarray(widened.transpose(1, 0, 2)))


def _widen(pixels: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    """Continue to the left and to the right; (height, narrower, 3) to (height, width, 3)."""
    left = (width - pixels.shape[1]) // 2
    right = left + pixels.shape[1]
    canvas = np.empty((pixels.shape[0], width, 3), np.uint8)
    canvas[:, left:right] = pixels
    _blend(canvas[:, : (left + right) // 2], left)
    # The right half, mirrored, is a left half.
    _blend(canvas[:, : (left + right) // 2 - 1 : -1], width - right)
    return canvas


def _blend(half: npt.NDArray[np.uint8], empty: int) -> None:
    """Fill the empty columns of a left half in place, and blend the picture's border into them."""
    side = half.shape[0]
    rim, strip = max(1, round(side * RIM)), max(1, round(side * STRIP))
    inner = half[:, empty + rim : empty + rim + strip].astype(np.float32)
    colours = _smooth(inner.mean(axis=1), strip)[:, None]
    half[:, : empty + rim] = np.rint(colours)
    share = np.linspace(0, 1, inner.shape[1], dtype=np.float32)[:, None]
    half[:, empty + rim : empty + rim + strip] = np.rint(colours + (inner - colours) * share)


def _smooth(colours: Floats, window: int) -> Floats:
    """Average each colour with its neighbours along the border; (height, 3)."""
    padded = np.pad(colours, ((window, window), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=0, dtype=np.float64)
    span = 2 * window
    smoothed = (sums[span:] - sums[:-span]) / span
    return smoothed[: len(colours)].astype(np.float32)
