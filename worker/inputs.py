"""The pictures that a job begins with, from the store to the engine."""

from collections.abc import Mapping
from io import BytesIO
from typing import Final

from PIL import Image

from shared.errors import GenerationFailed
from shared.params import Params

MASK: Final = "mask"
Pictures = tuple[tuple[Image.Image, ...], Image.Image | None]
"""Images in their order, and the mask."""


def pictures(files: Mapping[str, bytes], params: Params) -> Pictures:
    """Return a job's pictures and its mask; the API has written the files, and nothing but plain PNG.

    Args:
        files: by their names in the store.
        params: the job's, which say how many there are.

    Raises:
        GenerationFailed: one is missing.
    """
    names = [str(which) for which in range(len(params.input_sizes))]
    masks = [MASK] if params.masked else []
    if not files.keys() >= {*names, *masks}:
        message = "The pictures that were to be edited are no longer there."
        raise GenerationFailed(message)
    images = tuple(_opened(files[name]) for name in names)
    return images, _opened(files[MASK]) if params.masked else None


def _opened(file: bytes) -> Image.Image:
    picture = Image.open(BytesIO(file), formats=("PNG",))
    picture.load()
    return picture
