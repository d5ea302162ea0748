"""Reading picture files that strangers sent. Runs in a process of its own: see ``apart.py``.

What comes out is plain: 8 bits a channel, RGB or RGBA, upright, in sRGB, without anything but pixels.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from math import sqrt
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

FORMATS: Final = ("PNG", "WEBP", "JPEG")
_PNG_LEVEL: Final = 1
_SIXTEEN_BITS: Final = ("I;16", "I;16L", "I;16B", "I;16N", "I")
# The modes whose values may be mixed as they are.
_SMOOTH: Final = ("L", "RGB", "RGBA", "CMYK")
# The tag of EXIF that says how a picture lies, and the values of it that exchange width and height.
_ORIENTATION: Final = 0x0112
_LYING: Final = range(5, 9)


class PictureError(Exception):
    """A file is no picture that can be used. ``picture`` is which one, from 0; None is the mask."""

    def __init__(self, picture: int | None, reason: str) -> None:
        super().__init__(picture, reason)
        self.picture = picture
        self.reason = reason


class Size(NamedTuple):
    """Width and height in pixels, upright."""

    width: int
    height: int


@dataclass(frozen=True)
class Files:
    """Where the files of one request lie."""

    images: tuple[Path, ...]
    mask: Path | None = None

    def each(self) -> Iterator[tuple[int | None, Path]]:
        """Yield every file and which it is."""
        yield from enumerate(self.images)
        if self.mask is not None:
            yield None, self.mask


def look(files: Files, max_px: int) -> tuple[Size, ...]:
    """Return the size of each image, by what its file says of it.

    Args:
        files: as they came.
        max_px: most pixels of one, so that none can fill the memory.

    Raises:
        PictureError: one is no picture that is read here, or too large, or the mask does not fit.
    """
    sizes: list[Size] = []
    for which, path in files.each():
        with _reading(which), _opened(path) as picture:
            if picture.width * picture.height > max_px:
                size = Size(*picture.size)
                raise PictureError(
                    which, f"has {size.width}x{size.height} pixels, and at most {max_px} are read"
                )
            size = _upright(picture)
            if which is None:
                _check_mask(picture, size, sizes[0])
            else:
                sizes.append(size)
    return tuple(sizes)


def convert(files: Files, folder: Path, most_px: int) -> Files:
    """Decode all files and write them anew as plain PNG; return where.

    A mask comes out in one channel: 255 where it was transparent, to be drawn anew, 0 where it was not.

    Args:
        files: as they came, looked at.
        folder: where to write.
        most_px: images of more pixels are made smaller; nothing would be seen of the rest.

    Raises:
        PictureError: one is broken, or the mask leaves nothing to draw.
    """
    images = [folder / f"{which}.png" for which in range(len(files.images))]
    mask = None
    for which, path in files.each():
        with _reading(which), _opened(path) as picture:
            picture.load()
            if which is None:
                mask = folder / "mask.png"
                with Image.open(images[0]) as first:
                    size = first.size
                _write(_redrawn(picture, size), mask)
            else:
                _write(_plain(picture, most_px), images[which])
    return Files(tuple(images), mask)


@contextmanager
def _reading(which: int | None) -> Iterator[None]:
    """Say which file it is of whatever a decoder raises; what they raise for broken files is anything."""
    try:
        yield
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(which, "is no png, webp or jpeg") from None
    except (Image.DecompressionBombError, MemoryError):
        raise PictureError(which, "takes too much memory to be read") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk; what Pillow says of a file has no number
        raise PictureError(which, "is broken, or not whole") from error


def _opened(path: Path) -> Image.Image:
    """Open a file by what is in it, whatever its name says."""
    Image.MAX_IMAGE_PIXELS = None  # looked at first, with the limit of the settings
    if path.stat().st_size == 0:
        raise UnidentifiedImageError
    with warnings.catch_warnings(action="ignore"):
        return Image.open(path, formats=FORMATS)


def _upright(picture: Image.Image) -> Size:
    # Of a png it may stand behind the pixels, which are decoded for it.
    lies = picture.getexif().get(_ORIENTATION) in _LYING
    return Size(picture.height, picture.width) if lies else Size(picture.width, picture.height)


def _check_mask(mask: Image.Image, size: Size, first: Size) -> None:
    if mask.format != "PNG":
        raise PictureError(None, "is no png")
    if not mask.has_transparency_data:
        raise PictureError(None, "has no alpha channel; what is to be drawn anew must be transparent")
    if size != first:
        raise PictureError(
            None, f"is {size.width}x{size.height}, and the first image {first.width}x{first.height}"
        )


def _plain(picture: Image.Image, most_px: int) -> Image.Image:
    """Return a decoded picture upright, in sRGB, in 8 bits a channel, made smaller as early as can be.

    What is decoded takes a hundred megabytes at most, and so does each copy: none is made that need not be.
    """
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode in _SMOOTH and "transparency" not in picture.info:
        picture = _within(picture, most_px)
    picture = _in_eight_bits(picture)
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    if picture.mode == "CMYK":
        return _within(_in_srgb(picture), most_px)
    return _within(_in_srgb(_in_mode(picture, mode)), most_px)


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    return picture if picture.mode == mode else picture.convert(mode)


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """Return the picture with the upper 8 of 16 bits: Pillow's own conversion cuts off what is above 255."""
    if picture.mode not in _SIXTEEN_BITS:
        return picture
    return picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Return the picture in the colours of sRGB, where it says which it has; a broken profile says none."""
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    profile = picture.info.get("icc_profile")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):
            given, wanted = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            found = ImageCms.profileToProfile(picture, given, wanted, outputMode=mode)
            return picture if found is None else found
    return _in_mode(picture, mode)


def _within(picture: Image.Image, most_px: int) -> Image.Image:
    scale = sqrt(most_px / (picture.width * picture.height))
    if scale >= 1:
        return picture
    size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _redrawn(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return what a mask says is to be drawn anew, (width, height) as given, one channel."""
    alpha = ImageOps.exif_transpose(mask).convert("RGBA").getchannel("A")
    redrawn = ImageOps.invert(alpha)
    if redrawn.getbbox() is None:
        raise PictureError(None, "is opaque everywhere, so that there is nothing to draw")
    return redrawn if redrawn.size == size else redrawn.resize(size, Image.Resampling.BILINEAR)


def _write(picture: Image.Image, path: Path) -> None:
    # Without what Pillow would carry over: a profile, EXIF, comments.
    picture.info.clear()
    picture.save(path, "PNG", compress_level=_PNG_LEVEL)
