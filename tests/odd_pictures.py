"""Picture files as people send them, and as people who mean harm do. Each is made here, by what it is."""

import struct
import zlib
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageCms

RED: Final = (200, 30, 40)
ORIENTATION: Final = 0x0112
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def encoded(picture: Image.Image, kind: str = "png", **how: Any) -> bytes:
    """Return a picture as a file."""
    file = BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def plain(size: tuple[int, int] = (8, 6), kind: str = "png", colour: tuple[int, int, int] = RED) -> bytes:
    """Return a picture of one colour."""
    return encoded(Image.new("RGB", size, colour), kind, **({"quality": 100} if kind == "jpeg" else {}))


def red() -> Image.Image:
    """Return what most of these show."""
    return Image.new("RGB", (8, 6), RED)


def in_mode(mode: str, kind: str = "png") -> bytes:
    """Return a red picture in a mode of Pillow's."""
    return encoded(red().convert(mode, palette=Image.Palette.ADAPTIVE), kind)


def palette_with_alpha() -> bytes:
    """Return a picture with a palette of which one colour, the only one that is used, is transparent."""
    picture = Image.new("P", (8, 6), 3)
    picture.putpalette([0, 0, 0] * 3 + list(RED))
    return encoded(picture, transparency=3)


def masking(size: tuple[int, int] = (8, 6), left: int = 0, hole: int = 4) -> bytes:
    """Return a mask that is transparent in so many columns from the left, opaque elsewhere."""
    mask = Image.new("RGBA", size, (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (left, 0, left + hole, size[1]))
    return encoded(mask)


def lying(orientation: int, kind: str = "jpeg") -> bytes:
    """Return a picture that says by EXIF how it is to be turned; the upper half of what lies there is red."""
    picture = Image.new("RGB", (16, 8), "blue")
    picture.paste(RED, (0, 0, 16, 4))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(picture, kind, exif=exif, **({"quality": 100, "subsampling": 0} if kind == "jpeg" else {}))


def moving(kind: str = "webp") -> bytes:
    """Return an animation whose first frame is red, and the next blue."""
    frames = [Image.new("RGB", (8, 6), colour) for colour in (RED, "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, lossless=True)


def in_sixteen_bits(channels: int = 3) -> bytes:
    """Return a PNG of 16 bits a channel: grey, grey with alpha, colour, or that with alpha."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    values = {1: (200,), 2: (200, 255), 3: RED, 4: (*RED, 255)}[channels]
    pixel = b"".join(struct.pack(">H", 257 * value) for value in values)
    return png(8, 6, 16, kind, b"".join(b"\0" + pixel * 8 for _ in range(6)))


def in_other_colours() -> bytes:
    """Return a picture with a profile of its own, in which what it calls red is another one in sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return encoded(Image.new("RGB", (8, 6), RED), icc_profile=profile.tobytes())


def bomb(side: int = 60_000) -> bytes:
    """Return some kilobytes that say they are a picture of billions of pixels."""
    return png(side, side, 8, 2, b"\0" * 1000)


def cut(file: bytes) -> bytes:
    """Return the first half of a file."""
    return file[: len(file) // 2]


def png(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    """Return a PNG by its parts."""
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


SVG: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="6"><rect width="8" height="6"/></svg>'
)
HEIC: Final = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 100
GIF: Final = encoded(Image.new("RGB", (8, 6), RED), "gif")
BMP: Final = encoded(Image.new("RGB", (8, 6), RED), "bmp")
