"""Pictures as encoded files."""

from collections.abc import Callable
from io import BytesIO
from typing import Final
from zlib import Z_RLE

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from worker.engine.pictures.provenance import Provenance

PNG_LEVEL: Final = 1
WEBP_METHOD: Final = 0


def encode(
    picture: Image.Image, output_format: str, compression: int, provenance: Provenance | None = None
) -> bytes:
    """Encode a picture.

    Args:
        picture: RGB or RGBA; alpha is kept, so a JPEG's picture must have none.
        output_format: ``png``, ``webp`` or ``jpeg``.
        compression: the quality of webp and jpeg, 0 to 100; png is lossless and ignores it.
        provenance: is written into the file.
    """
    file = BytesIO()
    _ENCODERS[output_format](picture, file, compression, provenance)
    return file.getvalue()


def _png(picture: Image.Image, file: BytesIO, _compression: int, provenance: Provenance | None) -> None:
    chunks = PngInfo()
    if provenance is not None:
        for name, text in provenance.texts().items():
            chunks.add_text(name, text)
        chunks.add_itxt("XML:com.adobe.xmp", provenance.xmp())
    # Measured at 1024x1024: 44 ms, against 168 ms for Pillow's defaults, at the same size.
    picture.save(file, "PNG", compress_level=PNG_LEVEL, compress_type=Z_RLE, pnginfo=chunks)


def _webp(picture: Image.Image, file: BytesIO, compression: int, provenance: Provenance | None) -> None:
    # Measured at 1024x1024, quality 95: 25 ms against 80 ms for Pillow's default, and 9 % larger.
    picture.save(file, "WEBP", quality=compression, method=WEBP_METHOD, **_xmp(provenance))


def _jpeg(picture: Image.Image, file: BytesIO, compression: int, provenance: Provenance | None) -> None:
    picture.save(file, "JPEG", quality=compression, **_xmp(provenance))


def _xmp(provenance: Provenance | None) -> dict[str, bytes]:
    return {} if provenance is None else {"xmp": provenance.xmp().encode()}


_ENCODERS: Final[dict[str, Callable[[Image.Image, BytesIO, int, Provenance | None], None]]] = {
    "png": _png,
    "webp": _webp,
    "jpeg": _jpeg,
}
