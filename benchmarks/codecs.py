"""How fast and how large images are as files, by encoder: ``python benchmarks/codecs.py PICTURE.png …``.

Prints one table for each picture given, or for pictures that the shipped model drew. Encoders that are not
installed are left out: ``pip install isal fpng-py`` adds those that were compared once.
"""

import argparse
import io
import struct
import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pybase64
from PIL import Image

REPEATS = 9
SAMPLES = Path(__file__).resolve().parent.parent / "docs" / "images" / "sheet.jpg"


def pillow(picture: Image.Image, **options: object) -> bytes:
    """Encode by Pillow."""
    file = io.BytesIO()
    picture.save(file, **options)
    return file.getvalue()


def png_by(deflate: Callable[[bytes], bytes]) -> Callable[[Image.Image], bytes]:
    """Return an encoder that filters by the line above, as a picture mostly wants, and deflates as told."""

    def encode(picture: Image.Image) -> bytes:
        pixels = np.asarray(picture)
        lines = pixels.reshape(pixels.shape[0], -1)
        filtered = np.empty((lines.shape[0], lines.shape[1] + 1), np.uint8)
        filtered[:, 0] = 2  # the PNG filter "Up"
        filtered[0, 1:] = lines[0]
        filtered[1:, 1:] = lines[1:] - lines[:-1]
        colour = {3: 2, 4: 6}[pixels.shape[2]]
        header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, colour, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", deflate(filtered.tobytes())), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, chunks))

    return encode


def chunk(named: tuple[bytes, bytes]) -> bytes:
    """Return a PNG chunk."""
    name, data = named
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encoders() -> dict[str, Callable[[Image.Image], bytes]]:
    """Return what there is on this machine."""
    found: dict[str, Callable[[Image.Image], bytes]] = {
        "png, Pillow's default": lambda picture: pillow(picture, format="PNG"),
        "png, Pillow level 1, run lengths (ours)": lambda picture: pillow(
            picture, format="PNG", compress_level=1, compress_type=zlib.Z_RLE
        ),
        "webp 95, method 0 (ours)": lambda picture: pillow(picture, format="WEBP", quality=95, method=0),
        "jpeg 95 (ours)": lambda picture: pillow(picture.convert("RGB"), format="JPEG", quality=95),
    }
    if find_spec("isal"):
        isal_zlib = import_module("isal.isal_zlib")
        for level in (0, 1):
            found[f"png, filter up, isal level {level}"] = png_by(
                lambda data, level=level: isal_zlib.compress(data, level)  # type: ignore[misc]
            )
    if find_spec("zlib_ng"):
        zlib_ng = import_module("zlib_ng.zlib_ng")
        found["png, filter up, zlib-ng level 1"] = png_by(lambda data: zlib_ng.compress(data, 1))
    if find_spec("fpng_py"):
        fpng = import_module("fpng_py")
        found["png, fpng"] = lambda picture: fpng.fpng_encode_image_to_memory(
            picture.tobytes(), picture.width, picture.height, len(picture.getbands())
        )
    return found


def measure(name: str, picture: Image.Image) -> None:
    """Print the table of one picture."""
    print(f"\n{name}, {picture.width}x{picture.height}, {picture.mode}\n")
    print("| encoder | ms | bytes | size ÷ ours | base64 ms |\n| --- | --- | --- | --- | --- |")
    files = {}
    rows = []
    for encoder, encode in encoders().items():
        times = []
        for _ in range(REPEATS):
            began_at = perf_counter()
            files[encoder] = encode(picture)
            times.append(perf_counter() - began_at)
        began_at = perf_counter()
        pybase64.b64encode(files[encoder])
        rows.append((encoder, median(times), perf_counter() - began_at))
    ours = len(files["png, Pillow level 1, run lengths (ours)"])
    for encoder, seconds, base64_s in rows:
        size = len(files[encoder])
        print(f"| {encoder} | {seconds * 1e3:.1f} | {size} | {size / ours:.2f} | {base64_s * 1e3:.3f} |")


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description="compare encoders")
    parser.add_argument("pictures", nargs="*", type=Path, help="pictures to encode")
    for path in parser.parse_args().pictures or [SAMPLES]:
        with Image.open(path) as picture:
            measure(path.name, picture if picture.mode == "RGBA" else picture.convert("RGB"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
