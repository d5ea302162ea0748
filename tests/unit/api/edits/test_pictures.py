"""Every file that may be sent: it is read as what it shows, or refused in words."""

from pathlib import Path

import pytest
from PIL import Image

from api.edits.pictures import Files, PictureError, Size, convert, look
from tests import odd_pictures as odd

ENOUGH_PX = 1_000_000
OPPOSITE = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path


def written(folder: Path, *files: bytes, mask: bytes | None = None) -> Files:
    """Write files under names that say nothing, or the wrong thing."""
    paths = []
    for i, file in enumerate(files):
        paths.append(folder / f"{i}.txt")
        paths[-1].write_bytes(file)
    if mask is not None:
        (folder / "mask.jpeg").write_bytes(mask)
    return Files(tuple(paths), folder / "mask.jpeg" if mask is not None else None)


def made_plain(folder: Path, file: bytes, most_px: int = ENOUGH_PX) -> Image.Image:
    files = written(folder, file)
    (size,) = look(files, ENOUGH_PX)
    (path,) = convert(files, folder / "out", most_px).images
    with Image.open(path) as picture:
        picture.load()
    if most_px == ENOUGH_PX:
        assert picture.size == size
    return picture


def read(files: Files, folder: Path) -> Files:
    look(files, ENOUGH_PX)
    return convert(files, folder / "out", ENOUGH_PX)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def near(found: object, expected: tuple[int, ...], by: int = 3) -> bool:
    assert isinstance(found, tuple)
    return len(found) == len(expected) and all(abs(a - b) <= by for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(odd.plain(), id="png"),
        pytest.param(odd.plain(kind="webp"), id="webp"),
        pytest.param(odd.plain(kind="jpeg"), id="jpeg"),
        pytest.param(odd.in_mode("P"), id="palette"),
        pytest.param(odd.in_sixteen_bits(3), id="16 bits"),
        pytest.param(odd.moving("webp"), id="animated webp"),
        pytest.param(odd.moving("png"), id="animated png"),
        pytest.param(odd.moving("mpo"), id="jpeg of several, as phones write it"),
        pytest.param(
            odd.encoded(Image.new("RGB", (8, 6), odd.RED), "jpeg", progressive=True), id="progressive"
        ),
    ],
)
def test_a_red_picture_is_red_however_it_is_written(folder: Path, file: bytes) -> None:
    picture = made_plain(folder, file)

    assert (picture.mode, picture.size, picture.format) == ("RGB", (8, 6), "PNG")
    assert near(picture.getpixel((2, 3)), odd.RED, by=6)


@pytest.mark.parametrize(
    ("file", "mode", "pixel"),
    [
        pytest.param(odd.in_mode("L"), "RGB", (82, 82, 82), id="grey"),
        pytest.param(odd.in_sixteen_bits(1), "RGB", (200, 200, 200), id="grey in 16 bits"),
        pytest.param(odd.in_sixteen_bits(2), "RGBA", (200, 200, 200, 255), id="grey with alpha in 16 bits"),
        pytest.param(odd.in_sixteen_bits(4), "RGBA", (*odd.RED, 255), id="colour with alpha in 16 bits"),
        pytest.param(odd.encoded(Image.new("1", (8, 6), 1)), "RGB", (255, 255, 255), id="one bit"),
        pytest.param(
            odd.encoded(Image.new("LA", (8, 6), (9, 70))), "RGBA", (9, 9, 9, 70), id="grey and alpha"
        ),
        pytest.param(
            odd.encoded(Image.new("RGBA", (8, 6), (*odd.RED, 0))), "RGBA", (*odd.RED, 0), id="all transparent"
        ),
        pytest.param(odd.palette_with_alpha(), "RGBA", (*odd.RED, 0), id="palette with alpha"),
        pytest.param(
            odd.encoded(Image.new("CMYK", (8, 6), (0, 0, 0, 0)), "jpeg"), "RGB", (255,) * 3, id="cmyk"
        ),
    ],
)
def test_every_way_to_write_pixels_becomes_one_of_two(
    folder: Path, file: bytes, mode: str, pixel: tuple[int, ...]
) -> None:
    picture = made_plain(folder, file)

    assert picture.mode == mode
    assert near(picture.getpixel((2, 3)), pixel, by=2)


# Where the upper half of the file is, in the picture as it is to be seen: by the definition of the tag.
@pytest.mark.parametrize(
    ("orientation", "red_at"),
    [
        (1, "top"),
        (2, "top"),
        (3, "bottom"),
        (4, "bottom"),
        (5, "left"),
        (6, "right"),
        (7, "right"),
        (8, "left"),
    ],
)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_picture_is_turned_as_it_says(folder: Path, orientation: int, red_at: str, kind: str) -> None:
    picture = made_plain(folder, odd.lying(orientation, kind))

    lies = red_at in {"left", "right"}
    assert picture.size == ((8, 16) if lies else (16, 8))
    x, y = picture.width // 2, picture.height // 2
    at = {"top": (x, 0), "bottom": (x, picture.height - 1), "left": (0, y), "right": (picture.width - 1, y)}
    assert near(picture.getpixel(at[red_at]), odd.RED, by=12)
    (opposite,) = [
        place for side, place in at.items() if {side, red_at} in ({"top", "bottom"}, {"left", "right"})
    ]
    assert near(picture.getpixel(opposite), (0, 0, 255), by=12)
    assert not picture.getexif()


def test_nothing_but_pixels_is_kept(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description of where I live"
    file = odd.encoded(Image.new("RGB", (8, 6)), "jpeg", exif=exif, comment=b"and a comment", dpi=(300, 300))

    picture = made_plain(folder, file)

    assert picture.info == {}
    assert b"live" not in (folder / "out" / "0.png").read_bytes()


def test_colours_are_those_of_srgb_and_a_profile_that_is_none_says_nothing(folder: Path) -> None:
    broken = odd.encoded(Image.new("RGB", (8, 6), odd.RED), icc_profile=b"no profile")

    assert near(made_plain(folder, broken).getpixel((0, 0)), odd.RED, by=0)
    assert made_plain(folder, odd.in_other_colours()).mode == "RGB"


def test_a_picture_of_more_pixels_than_matter_is_made_smaller_in_its_shape(folder: Path) -> None:
    picture = made_plain(folder, odd.plain((400, 100)), most_px=10_000)

    assert picture.size == (200, 50)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        pytest.param(b"", "is no png, webp or jpeg", id="nothing"),
        pytest.param(b"hello", "is no png, webp or jpeg", id="text"),
        pytest.param(odd.SVG, "is no png, webp or jpeg", id="svg"),
        pytest.param(odd.HEIC, "is no png, webp or jpeg", id="heic"),
        pytest.param(odd.GIF, "is no png, webp or jpeg", id="gif"),
        pytest.param(odd.BMP, "is no png, webp or jpeg", id="bmp"),
        pytest.param(b"\0" * 1000, "is no png, webp or jpeg", id="zeros"),
        pytest.param(odd.bomb(), "60000x60000 pixels", id="bomb"),
        pytest.param(odd.plain()[:20], "is broken, or not whole", id="half a head"),
    ],
)
def test_what_is_no_picture_is_seen_in_front(folder: Path, file: bytes, reason: str) -> None:
    with pytest.raises(PictureError) as caught:
        look(written(folder, odd.plain(), file), ENOUGH_PX)

    assert caught.value.picture == 1
    assert reason in caught.value.reason


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_half_a_picture_is_none(folder: Path, kind: str) -> None:
    noisy = Image.effect_noise((64, 64), 100).convert("RGB")
    files = written(folder, odd.cut(odd.encoded(noisy, kind)))

    with pytest.raises(PictureError) as caught:
        read(files, folder)

    assert caught.value.picture == 0
    assert "not whole" in caught.value.reason or "no png" in caught.value.reason


def test_a_mask_says_what_is_drawn_anew(folder: Path) -> None:
    with Image.open(written(folder, odd.masking(hole=4)).images[0]) as hard:
        soft = hard.convert("RGBA")
    soft.putpixel((7, 0), (0, 0, 0, 155))
    files = written(folder, odd.plain(), mask=odd.encoded(soft))

    assert look(files, ENOUGH_PX) == (Size(8, 6),)
    path = convert(files, folder / "out", ENOUGH_PX).mask

    assert path is not None
    with Image.open(path) as mask:
        mask.load()
    assert (mask.mode, mask.size) == ("L", (8, 6))
    assert [mask.getpixel((x, 0)) for x in range(8)] == [255] * 4 + [0] * 3 + [100]


def test_a_mask_goes_with_its_picture_where_that_is_made_smaller(folder: Path) -> None:
    files = written(folder, odd.plain((80, 60)), mask=odd.masking((80, 60), hole=40))

    found = convert(files, folder / "out", 1200)

    assert found.mask is not None
    assert {size_of(found.images[0]), size_of(found.mask)} == {(40, 30)}


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        pytest.param(odd.plain(), "has no alpha", id="no alpha"),
        pytest.param(odd.masking((6, 8)), "is 6x8, and the first image 8x6", id="another size"),
        pytest.param(odd.encoded(Image.new("RGBA", (8, 6)), "webp"), "is no png", id="webp"),
        pytest.param(odd.plain(kind="jpeg"), "is no png", id="jpeg"),
        pytest.param(b"hello", "is no png", id="text"),
        pytest.param(odd.encoded(Image.new("RGBA", (8, 6), "red")), "nothing to draw", id="opaque"),
    ],
)
def test_a_mask_that_is_none_is_refused(folder: Path, mask: bytes, reason: str) -> None:
    files = written(folder, odd.plain(), mask=mask)

    with pytest.raises(PictureError) as caught:
        read(files, folder)

    assert caught.value.picture is None
    assert reason in caught.value.reason
