"""The picture of an edit: fitted into what is drawn, cut out again, and kept outside of its mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from shared.catalogue import Sizes
from tests.unit.engine.rows.editing import mask_of, picture_of
from worker.engine.pictures.canvas import Canvas, mixed, on_white
from worker.engine.request import Edit

SQUARES = Sizes(
    native_width=64, native_height=64, multiple=16, min_area_px=4096, max_area_px=4096, max_generated_aspect=1
)
FREE = Sizes(native_width=64, native_height=64, multiple=16, min_area_px=2048, max_area_px=16384)
sides = st.integers(8, 200)


def canvas_of(
    picture: Image.Image, asked: tuple[int, int], sizes: Sizes, mask: Image.Image | None = None
) -> Canvas:
    edit, keeps_alpha = Edit((picture,), mask, 0.5), picture.mode == "RGBA"
    return Canvas(edit, asked, sizes.generated(*asked), sizes.multiple, keeps_alpha)


def values(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


@given(sides, sides, st.sampled_from([SQUARES, FREE]), st.sampled_from(["RGB", "RGBA"]))
def test_it_fills_what_is_drawn_and_comes_back_in_the_asked_size(
    width: int, height: int, sizes: Sizes, mode: str
) -> None:
    canvas = canvas_of(
        picture_of(1, (37, 53), mode), (width, height), sizes, mask_of(3, 4, 20, 30, size=(37, 53))
    )

    whole, mask = canvas.whole(), canvas.whole_mask()
    finished = canvas.finished(np.asarray(whole))

    assert mask is not None
    assert whole.size == mask.size == sizes.generated(width, height)
    assert (finished.size, finished.mode) == ((width, height), mode)


def test_of_the_size_that_is_drawn_nothing_is_changed() -> None:
    picture = picture_of(1, (96, 64))
    canvas = canvas_of(picture, (96, 64), FREE)

    assert np.array_equal(canvas.whole(), picture)
    assert np.array_equal(canvas.finished(np.asarray(picture)), picture)


def test_a_few_pixels_that_are_missing_continue_its_edges_and_nothing_is_resampled() -> None:
    picture = picture_of(1, (90, 60))
    canvas = canvas_of(picture, (90, 60), FREE)

    whole = np.asarray(canvas.whole())

    assert whole.shape == (64, 96, 3)
    assert np.array_equal(whole[2:62, 3:93], picture)
    assert np.array_equal(whole[2:62, 0], np.asarray(picture)[:, 0])
    assert np.array_equal(whole[2:62, 95], np.asarray(picture)[:, 89])
    assert np.array_equal(whole[0, 3:93], np.asarray(picture)[0])
    assert np.array_equal(canvas.finished(whole), picture)


@pytest.mark.parametrize("size", [(256, 64), (64, 256), (200, 100)])
def test_a_picture_longer_than_the_model_draws_is_drawn_whole(size: tuple[int, int]) -> None:
    picture = picture_of(1, size)
    canvas = canvas_of(picture, size, SQUARES)

    whole = np.asarray(canvas.whole())
    left, upper, right, lower = canvas.box
    again = canvas.finished(whole)

    assert whole.shape == (64, 64, 3)
    assert (right - left) / (lower - upper) == pytest.approx(size[0] / size[1], rel=0.05)
    assert abs(left - (64 - right)) <= 1
    assert abs(upper - (64 - lower)) <= 1
    assert np.abs(values(again) - values(picture)).mean() < 4
    if upper > 0:
        assert (whole[:upper] == whole[upper]).all()
        assert (whole[lower:] == whole[lower - 1]).all()


@pytest.mark.parametrize("masked", [True, False])
def test_wide_margins_are_kept_as_they_are(*, masked: bool) -> None:
    mask = mask_of(0, 0, 100, 64, size=(256, 64)) if masked else None

    whole = canvas_of(picture_of(1, (256, 64)), (256, 64), SQUARES, mask).whole_mask()

    assert whole is not None
    redrawn = np.asarray(whole) > 127
    assert redrawn[8:56, : 25 if masked else 64].all()
    assert redrawn.sum() == 48 * (25 if masked else 64)


def test_narrow_ones_are_drawn_anew_with_what_is_beside_them() -> None:
    picture, mask = picture_of(1, (90, 60)), mask_of(0, 0, 45, 60, size=(90, 60))

    assert canvas_of(picture, (90, 60), FREE).whole_mask() is None
    whole = canvas_of(picture, (90, 60), FREE, mask).whole_mask()
    assert np.array_equal(np.asarray(whole), np.asarray(mask_of(0, 0, 48, 64, size=(96, 64))))


def test_a_picture_of_another_shape_than_is_asked_is_cut_and_not_distorted() -> None:
    wide = Image.new("RGB", (192, 64), "red")
    wide.paste("blue", (64, 0, 128, 64))

    assert (
        values(canvas_of(wide, (64, 64), FREE).picture)[:, 2:-2].reshape(-1, 3).tolist()
        == [[0, 0, 255]] * 3840
    )


def test_what_the_mask_keeps_is_the_picture_and_what_it_does_not_is_what_was_drawn() -> None:
    picture, drawn = picture_of(1, (96, 64)), picture_of(2, (96, 64))
    mask = mask_of(8, 16, 50, 40, size=(96, 64))

    finished = values(canvas_of(picture, (96, 64), FREE, mask).finished(np.asarray(drawn)))

    anew = np.asarray(mask) == 255
    assert np.array_equal(finished[~anew], values(picture)[~anew])
    assert np.array_equal(finished[anew], values(drawn)[anew])


def test_a_resampled_picture_is_kept_as_lanczos_makes_it() -> None:
    picture, mask = picture_of(1, (300, 200)), mask_of(0, 0, 150, 200, size=(300, 200))
    canvas = canvas_of(picture, (96, 64), FREE, mask)

    finished = values(canvas.finished(np.zeros((64, 96, 3), np.uint8)))

    expected = values(ImageOps.fit(picture, (96, 64), Image.Resampling.LANCZOS))
    assert np.array_equal(finished[:, 50:], expected[:, 50:])
    assert finished[:, :46].max() == 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_between_the_two_they_are_mixed(mode: str) -> None:
    kept, drawn = picture_of(1, (16, 16), mode), picture_of(2, (16, 16), mode)
    for each in (kept, drawn):
        if mode == "RGBA":
            each.putalpha(255)

    middle = values(mixed(kept, drawn, Image.new("L", (16, 16), 51)))

    assert np.abs(middle - (0.8 * values(kept) + 0.2 * values(drawn))).max() <= 0.51


def test_what_is_transparent_lends_no_colour() -> None:
    white, clear = Image.new("RGBA", (4, 4), (255, 255, 255, 255)), Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    mask = Image.new("L", (4, 4), 128)

    assert values(mixed(white, clear, mask))[0, 0].tolist() == [255, 255, 255, 127]
    assert values(mixed(clear, white, mask))[0, 0].tolist() == [255, 255, 255, 128]


def test_where_the_mask_keeps_it_even_the_colour_of_what_is_transparent_stays() -> None:
    clear, drawn = Image.new("RGBA", (4, 4), (9, 8, 7, 0)), picture_of(1, (4, 4), "RGBA")

    assert np.array_equal(mixed(clear, drawn, Image.new("L", (4, 4), 0)), clear)
    assert np.array_equal(mixed(drawn, clear, Image.new("L", (4, 4), 255)), clear)


def test_alpha_is_composed_on_white() -> None:
    half = Image.new("RGBA", (1, 1), (255, 0, 0, 51))

    assert on_white(half).getpixel((0, 0)) == (255, 204, 204)
    assert on_white(Image.new("RGB", (1, 1), (1, 2, 3))).getpixel((0, 0)) == (1, 2, 3)


def test_a_mask_does_not_ring_where_it_is_resampled() -> None:
    mask = mask_of(100, 0, 300, 200, size=(300, 200))

    resampled = canvas_of(picture_of(1, (300, 200)), (480, 320), FREE, mask).mask

    assert resampled is not None
    assert values(resampled)[:, :158].max() == 0
    assert values(resampled)[:, 163:].min() == 255
