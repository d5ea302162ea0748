"""Bodies of a request for an edit: noise, which no format makes smaller, as much of it as is allowed."""

import base64
import io
import json
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image

from shared.settings import ApiSettings

BOUNDARY: Final = "benchmark"
PICTURES: Final = 3
_ASIDE: Final = 4096
"""What the other fields and what stands between the parts take at most, in bytes."""


def form(total_bytes: int) -> tuple[str, bytes]:
    """Return a content type, and a form of at most so many bytes."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image[]"; filename="a.png"\r\n\r\n'
    parts = [head.encode() + picture + b"\r\n" for picture in _pictures((total_bytes - _ASIDE) // PICTURES)]
    text = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"\r\n\r\n{{}}\r\n'
    parts += [text.format(*field).encode() for field in (("prompt", "x"), ("quality", "low"))]
    return f"multipart/form-data; boundary={BOUNDARY}", b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def document(total_bytes: int) -> tuple[str, bytes]:
    """Return a content type, and JSON of at most so many bytes: three quarters of it are pictures."""
    pictures = _pictures((total_bytes - _ASIDE) // PICTURES * 3 // 4)
    urls = [f"data:image/png;base64,{base64.b64encode(picture).decode()}" for picture in pictures]
    body = {"prompt": "x", "quality": "low", "images": [{"image_url": url} for url in urls]}
    return "application/json", json.dumps(body).encode()


BODIES: Final[dict[str, Callable[[int], tuple[str, bytes]]]] = {"form": form, "JSON": document}


def _pictures(most_bytes: int) -> list[bytes]:
    """Return pictures of noise, each of at most so many bytes, and of what is allowed."""
    settings = ApiSettings()
    most_bytes = min(most_bytes, settings.max_input_file_bytes)
    width = int((min(most_bytes * 0.999 / 3, settings.max_input_px)) ** 0.5)
    return [_noise(width, seed) for seed in range(PICTURES)]


def _noise(side: int, seed: int) -> bytes:
    file = io.BytesIO()
    picture = Image.frombytes("RGB", (side, side), np.random.default_rng(seed).bytes(3 * side * side))
    picture.save(file, "PNG", compress_level=0)
    return file.getvalue()
