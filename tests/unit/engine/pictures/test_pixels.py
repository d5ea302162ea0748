"""From decoded tensors to a picture of the asked size."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.catalogue import Sizes
from worker.engine.pictures.background import continue_background
from worker.engine.pictures.pixels import to_picture, to_pixels, to_tensor

SQUARES = Sizes(
    native_width=64, native_height=64, multiple=16, min_area_px=4096, max_area_px=4096, max_generated_aspect=1
)
FREE = Sizes(native_width=64, native_height=64, multiple=16, min_area_px=2048, max_area_px=16384)


def test_pixels_are_rounded_and_in_reading_order() -> None:
    image = torch.zeros(3, 2, 4)
    image[0, 1, 3] = 1
    image[2, 0, 0] = 0.5

    pixels = to_pixels(image, keep_alpha=False)

    assert pixels.shape == (2, 4, 3)
    assert pixels.dtype == np.uint8
    assert pixels[1, 3].tolist() == [255, 0, 0]
    assert pixels[0, 0].tolist() == [0, 0, 128]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_alpha_is_composed_on_white(dtype: torch.dtype) -> None:
    image = torch.tensor([1.0, 0.0, 0.0, 0.25], dtype=dtype).reshape(4, 1, 1)

    assert to_pixels(image, keep_alpha=False).tolist() == [[[255, 191, 191]]]
    assert to_pixels(image, keep_alpha=True).tolist() == [[[255, 0, 0, 64]]]


def test_images_that_are_no_tensors_are_understood() -> None:
    array = np.full((2, 3, 3), 0.5, np.float32)

    assert to_tensor(array).shape == (3, 2, 3)
    assert to_tensor(Image.new("RGB", (3, 2), (255, 0, 51)))[:, 0, 0].tolist() == pytest.approx([1, 0, 0.2])


@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from([SQUARES, FREE]), st.sampled_from([3, 4]))
def test_the_picture_has_exactly_the_asked_size(width: int, height: int, sizes: Sizes, channels: int) -> None:
    asked = (width * 8, height * 8)
    generated_width, generated_height = sizes.generated(*asked)
    pixels = np.zeros((generated_height, generated_width, channels), np.uint8)

    assert to_picture(pixels, *asked, sizes).size == asked


def test_a_few_pixels_too_many_are_cut_off_without_resampling() -> None:
    pixels = np.arange(80 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(80, 64, 3)

    picture = to_picture(pixels, 64, 72, FREE)

    assert np.array_equal(np.asarray(picture), pixels[4:76])


@pytest.mark.parametrize("size", [(256, 256), (512, 256), (32, 64), (24, 24), (250, 500)])
def test_a_circle_stays_a_circle(size: tuple[int, int]) -> None:
    generated_width, generated_height = FREE.generated(*size)
    rows, columns = np.mgrid[:generated_height, :generated_width]
    centre_row, centre_column = (generated_height - 1) / 2, (generated_width - 1) / 2
    circle = np.hypot(rows - centre_row, columns - centre_column) < min(generated_width, generated_height) / 3
    pixels = np.where(circle, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)

    dark = np.asarray(to_picture(pixels, *size, FREE))[..., 0] < 128

    wide, high = dark.any(axis=0).sum(), dark.any(axis=1).sum()
    assert abs(wide - high) <= 0.06 * max(wide, high) + 1
    assert np.flatnonzero(dark.any(axis=0)).mean() == pytest.approx((size[0] - 1) / 2, abs=1)
    assert np.flatnonzero(dark.any(axis=1)).mean() == pytest.approx((size[1] - 1) / 2, abs=1)


def test_resampled_edges_take_no_colour_from_what_is_transparent() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., 1] = 255  # the invisible part is green
    pixels[16:48, 16:48] = (255, 0, 0, 255)

    picture = np.asarray(to_picture(pixels, 200, 200, SQUARES)).astype(int)

    visible = picture[picture[..., 3] > 16]
    assert visible[:, 0].min() > 200
    assert visible[:, 1].max() < 30


@pytest.mark.parametrize("size", [(192, 64), (64, 192), (65, 64), (64, 97)])
def test_a_longer_picture_continues_its_background_on_both_sides(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", (64, 64), (200, 220, 240))
    picture.paste((10, 20, 30), (24, 24, 40, 40))

    longer = np.asarray(continue_background(picture, *size)).astype(int)

    dark = (longer == (10, 20, 30)).all(axis=2)
    assert longer.shape == (size[1], size[0], 3)
    assert dark.sum() == 16 * 16
    assert np.abs(longer[~dark] - (200, 220, 240)).max() <= 1
    assert np.argwhere(dark).mean(axis=0) == pytest.approx(((size[1] - 1) / 2, (size[0] - 1) / 2), abs=0.5)


def test_a_gradient_is_continued_along_the_border() -> None:
    ramp = np.linspace(0, 255, 128).astype(np.uint8)[:, None, None]
    picture = Image.fromarray(np.broadcast_to(ramp, (128, 128, 3)).copy())

    longer = np.asarray(continue_background(picture, 512, 128)).astype(int)

    assert np.abs(longer[:, 0] - longer[:, 256])[16:-16].max() <= 3


def test_a_longer_transparent_picture_is_continued_by_nothing() -> None:
    longer = continue_background(Image.new("RGBA", (64, 64), (255, 0, 0, 255)), 128, 64)

    alpha = np.asarray(longer)[..., 3]
    assert (alpha[:, 32:96] == 255).all()
    assert alpha.sum() == 255 * 64 * 64
