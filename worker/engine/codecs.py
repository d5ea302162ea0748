"""Pictures as encoded files."""

from collections.abc import Callable
from io import BytesIO
from typing import Final
from zlib import Z_RLE

from PIL import Image

PNG_LEVEL: Final = 1
WEBP_METHOD: Final = 0


def encode(picture: Image.Image, output_format: str, compression: int) -> bytes:
    """Encode a picture.

    Args:
        picture: RGB or RGBA; alpha is kept, so a JPEG's picture must have none.
        output_format: ``png``, ``webp`` or ``jpeg``.
        compression: the quality of webp and jpeg, 0 to 100; png is lossless and ignores it.
    """
    file = BytesIO()
    _ENCODERS[output_format](picture, file, compression)
    return file.getvalue()


def _png(picture: Image.Image, file: BytesIO, _compression: int) -> None:
    # Measured at 1024x1024: 44 ms, against 168 ms for Pillow's defaults, at the same size.
    picture.save(file, "PNG", compress_level=PNG_LEVEL, compress_type=Z_RLE)


def _webp(picture: Image.Image, file: BytesIO, compression: int) -> None:
    # Measured at 1024x1024, quality 95: 25 ms against 80 ms for Pillow's default, and 9 % larger.
    picture.save(file, "WEBP", quality=compression, method=WEBP_METHOD)


def _jpeg(picture: Image.Image, file: BytesIO, compression: int) -> None:
    picture.save(file, "JPEG", quality=compression)


_ENCODERS: Final[dict[str, Callable[[Image.Image, BytesIO, int], None]]] = {
    "png": _png,
    "webp": _webp,
    "jpeg": _jpeg,
}
