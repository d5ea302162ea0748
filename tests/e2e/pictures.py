"""Looking at the pictures of a response."""

import base64
import io
from typing import Any

import numpy as np
from openai.types import ImagesResponse
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def files(response: ImagesResponse) -> list[bytes]:
    """The image files of a response."""
    assert response.data is not None
    return [base64.b64decode(image.b64_json or "", validate=True) for image in response.data]


def opened(file: bytes) -> Image.Image:
    """An image file, wholly decoded."""
    image = Image.open(io.BytesIO(file))
    image.load()
    return image


def pixels(file: bytes) -> Pixels:
    """Height x width x channels."""
    return np.asarray(opened(file))
