"""Encoded files are what they say."""

from io import BytesIO
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from worker.engine.pictures.codecs import encode
from worker.engine.pictures.provenance import TRAINED, Provenance


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    rows, columns = np.mgrid[:96, :128]
    noise = np.random.default_rng(0).integers(0, 40, (96, 128, 3))
    return Image.fromarray(
        (np.stack([rows, columns, rows + columns], axis=2) + noise).clip(0, 255).astype(np.uint8)
    )


def reopened(file: bytes) -> Image.Image:
    image = Image.open(BytesIO(file))
    image.load()
    return image


@pytest.mark.parametrize(
    ("output_format", "magic"), [("png", b"\x89PNG\r\n\x1a\n"), ("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF")]
)
@pytest.mark.parametrize("compression", [0, 1, 50, 95, 100])
def test_the_bytes_are_of_the_format_at_every_compression(
    photo: Image.Image, output_format: str, magic: bytes, compression: int
) -> None:
    file = encode(photo, output_format, compression)

    assert file.startswith(magic)
    assert (reopened(file).size, reopened(file).mode) == (photo.size, "RGB")


@pytest.mark.parametrize("compression", [0, 100])
def test_png_is_lossless_and_ignores_the_compression(photo: Image.Image, compression: int) -> None:
    file = encode(photo, "png", compression)

    assert np.array_equal(np.asarray(reopened(file)), np.asarray(photo))
    assert file == encode(photo, "png", 95)


@pytest.mark.parametrize("output_format", ["webp", "jpeg"])
def test_more_quality_is_more_bytes_and_less_error(photo: Image.Image, output_format: str) -> None:
    files = [encode(photo, output_format, compression) for compression in (0, 50, 100)]

    errors = [np.abs(np.asarray(reopened(file)).astype(int) - np.asarray(photo)).mean() for file in files]

    assert [len(file) for file in files] == sorted(len(file) for file in files)
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_alpha_survives(photo: Image.Image, output_format: str) -> None:
    picture = photo.copy()
    picture.putalpha(Image.linear_gradient("L").resize(photo.size))

    image = reopened(encode(picture, output_format, 95))

    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image.getchannel("A")), np.asarray(picture.getchannel("A")))


ABOUT = Provenance(model='the "glyph" & co', seed=4_294_967_295, prompt_sha256="ab" * 32)
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
OURS = "{urn:darkroom:provenance}"


@pytest.mark.parametrize("output_format", ["png", "webp", "jpeg"])
def test_a_file_says_where_it_comes_from_and_its_pixels_are_the_same(
    photo: Image.Image, output_format: str
) -> None:
    plain, told = encode(photo, output_format, 95), encode(photo, output_format, 95, ABOUT)

    image = reopened(told)
    xmp = image.info["xmp"] if output_format != "png" else image.info["XML:com.adobe.xmp"].encode()
    (about,) = ET.fromstring(xmp).iter(f"{RDF}Description")  # noqa: S314 - our own
    assert about.get(f"{IPTC}DigitalSourceType") == TRAINED
    assert about.get(f"{OURS}Model") == ABOUT.model
    assert about.get(f"{OURS}Seed") == str(ABOUT.seed)
    assert about.get(f"{OURS}PromptSHA256") == ABOUT.prompt_sha256
    assert np.array_equal(np.asarray(image), np.asarray(reopened(plain)))
    assert 0 < len(told) - len(plain) < 2000
    assert told == encode(photo, output_format, 95, ABOUT)


def test_a_png_says_it_in_plain_text_too(photo: Image.Image) -> None:
    texts = reopened(encode(photo, "png", 95, ABOUT)).info

    assert texts["Software"] == "Darkroom"
    assert (texts["Model"], texts["Seed"]) == (ABOUT.model, str(ABOUT.seed))
    assert texts["Prompt-SHA256"] == ABOUT.prompt_sha256
