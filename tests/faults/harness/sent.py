"""The pictures that callers send: told by words of the prompt, so that whoever reads it knows every pixel.

``picture:SEED`` is noise, ``picture:SEED:masked`` the same with a mask, of which the left half is drawn anew,
and ``picture:SEED:json`` goes out as JSON and not as a form; ``picture:SEED:masked:json`` is both.
"""

import base64
import hashlib
import io
import json
import random
import re
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

_WORD: Final = re.compile(r"picture:(\d+)(:masked)?(:json)?")
# Sides in pixels: of the one the file takes 12 kB, of the other 200.
_SIDES: Final = (64, 256)


@dataclass(frozen=True)
class Sent:
    """What one call sends."""

    image: Image.Image
    mask: Image.Image | None
    as_json: bool

    def request(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return how httpx is to send it beside these fields."""
        files = {"image": _png(self.image)}
        if self.mask is not None:
            # What is transparent is drawn anew.
            alpha = self.mask.point(lambda redrawn: 255 - redrawn)
            files["mask"] = _png(Image.merge("RGBA", (*[Image.new("L", alpha.size)] * 3, alpha)))
        if not self.as_json:
            texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in fields.items()}
            return {
                "data": texts,
                "files": {name: (f"{name}.png", file, "image/png") for name, file in files.items()},
            }
        urls = {name: {"image_url": _data_url(file)} for name, file in files.items()}
        return {"json": {**fields, **urls}}


def sent(prompt: str) -> Sent | None:
    """Return what goes with a prompt; nothing where it asks for a picture of words alone."""
    found = _WORD.search(prompt)
    if found is None:
        return None
    seed, masked, as_json = int(found.group(1)), bool(found.group(2)), bool(found.group(3))
    size = (_SIDES[seed % 2],) * 2
    image = Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))
    mask = None
    if masked:
        mask = Image.new("L", size, 0)
        mask.paste(255, (0, 0, size[0] // 2, size[1]))
    return Sent(image, mask, as_json)


def digest(images: tuple[Image.Image, ...], mask: Image.Image | None) -> str:
    """Return what tells pictures and a mask from others."""
    seen = hashlib.sha256()
    for each in (*images, *([mask] if mask is not None else [])):
        seen.update(f"{each.mode} {each.size} ".encode() + each.tobytes())
    return seen.hexdigest()


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _data_url(file: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"
