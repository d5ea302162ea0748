"""Pictures and masks as tensors."""

import numpy as np
import pytest
import torch
from PIL import Image

from worker.engine.rows.families.pictures import EncodedPictures, mask_tensor, picture_tensor


def test_a_picture_goes_from_minus_one_to_one_in_reading_order() -> None:
    picture = Image.new("RGB", (3, 2), (0, 255, 51))
    picture.putpixel((2, 1), (255, 0, 0))

    tensor = picture_tensor(picture, 3)

    assert tensor.shape == (1, 3, 2, 3)
    assert tensor[0, :, 0, 0].tolist() == pytest.approx([-1, 1, -0.6])
    assert tensor[0, :, 1, 2].tolist() == [1, -1, -1]


def test_without_a_place_for_its_alpha_it_is_composed_on_white() -> None:
    clear = Image.new("RGBA", (2, 2), (9, 8, 7, 0))

    assert picture_tensor(clear, 3).tolist() == torch.ones(1, 3, 2, 2).tolist()


def test_with_one_it_keeps_it_and_is_white_where_there_is_nothing() -> None:
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    picture.putpixel((1, 0), (9, 8, 7, 0))

    tensor = picture_tensor(picture, 4)

    assert tensor[0, :, 0, 0].tolist() == [1, -1, -1, 1]
    assert tensor[0, :, 0, 1].tolist() == [1, 1, 1, -1]
    assert picture.getpixel((1, 0)) == (9, 8, 7, 0)


def test_one_without_alpha_is_opaque() -> None:
    assert picture_tensor(Image.new("RGB", (1, 1)), 4)[0, :, 0, 0].tolist() == [-1, -1, -1, 1]


def test_a_mask_is_all_or_nothing() -> None:
    mask = Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8))

    assert mask_tensor(mask).tolist() == [[[[0, 0, 1, 1]]]]


def test_what_is_no_number_is_found_wherever_it_is() -> None:
    good, bad = torch.zeros(1, 2), torch.tensor([[0, torch.nan]])

    assert EncodedPictures(mean=good, tokens=good).is_finite
    assert not EncodedPictures(mean=good, tokens=bad).is_finite
    assert not EncodedPictures(mean=bad).is_finite
