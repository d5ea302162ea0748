"""From what a pipeline decoded to a picture of exactly the asked size."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from shared.catalogue import Sizes
from worker.engine.pictures.background import continue_background

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3 or 4), red, green, blue and perhaps alpha, not premultiplied."""

RGBA_CHANNELS = 4


def to_tensor(image: object) -> torch.Tensor:
    """Return an image as a pipeline gave it, (channels, height, width), 0 to 1; some know no tensors."""
    if isinstance(image, torch.Tensor):
        return image
    array = np.array(image)
    scaled = array / np.float32(255) if array.dtype == np.uint8 else array
    return torch.from_numpy(scaled).permute(2, 0, 1)


def to_pixels(image: torch.Tensor, *, keep_alpha: bool) -> Pixels:
    """Quantise one decoded image on its device; alpha is kept, or composed on white.

    Args:
        image: (3 or 4, height, width), 0 to 1, any floating type.
        keep_alpha: whether to keep the fourth channel.
    """
    image = image.float()
    if image.shape[0] == RGBA_CHANNELS and not keep_alpha:
        # Equals rgb * alpha + 1 - alpha.
        image = torch.lerp(image.new_ones(()), image[:3], image[3:])
    return (image * 255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def to_picture(pixels: Pixels, width: int, height: int, sizes: Sizes) -> Image.Image:
    """Return generated pixels as a picture of exactly the asked size, undistorted."""
    picture = Image.fromarray(pixels)
    picture = cover(picture, *sizes.picture(width, height), slack=sizes.multiple)
    return picture if picture.size == (width, height) else continue_background(picture, width, height)


def cover(
    picture: Image.Image,
    width: int,
    height: int,
    *,
    slack: int = 0,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
) -> Image.Image:
    """Resample so that the size is just covered, and cut off what is over, half on each side.

    Args:
        picture: of any size; one of that size is returned as it is.
        width: in pixels.
        height: in pixels.
        slack: where fewer pixels than these are over, they are cut off and nothing is resampled.
        resample: how it is done.
    """
    over_width, over_height = picture.width - width, picture.height - height
    if over_width == 0 and over_height == 0:
        return picture
    if 0 <= over_width < slack and 0 <= over_height < slack:
        left, top = over_width // 2, over_height // 2
        return picture.crop((left, top, left + width, top + height))
    scale = min(picture.width / width, picture.height / height)
    # One of them is 0, give or take a rounding.
    margin_x = max(0.0, (picture.width - width * scale) / 2)
    margin_y = max(0.0, (picture.height - height * scale) / 2)
    box = (margin_x, margin_y, picture.width - margin_x, picture.height - margin_y)
    # Pillow premultiplies RGBA by alpha while it resamples, so that edges take no colour from nowhere.
    return picture.resize((width, height), resample, box=box)
