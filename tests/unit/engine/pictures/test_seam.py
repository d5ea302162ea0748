"""What is drawn meets what is kept without a seam, or is left as it is where they have little in common."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from worker.engine.pictures.canvas import Canvas
from worker.engine.pictures.seam import NEAR, levelled
from worker.engine.request import Edit

SIZE = (512, 384)
GROUND = (250, 246, 238)
BOX = (192, 128, 384, 288)


def mask_of(*box: int, size: tuple[int, int] = SIZE) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def met(drawn: Image.Image, kept: Image.Image, mask: Image.Image) -> Any:
    """The pixels that are delivered."""
    canvas = Canvas(Edit((kept,), mask, 1.0), kept.size, drawn.size)
    return np.asarray(canvas.finished(np.asarray(drawn))).astype(int)


def changed(colour: tuple[int, ...], by: int) -> tuple[int, ...]:
    return tuple(channel - by for channel in colour)


@pytest.mark.parametrize("by", [-4, 3, 8, NEAR])
def test_colours_that_came_back_a_little_changed_are_changed_back_at_the_edge(by: int) -> None:
    kept, drawn = Image.new("RGB", SIZE, GROUND), Image.new("RGB", SIZE, changed(GROUND, by))

    finished = met(drawn, kept, mask_of(*BOX))

    expected = np.clip(GROUND, None, 255 + min(by, 0))
    assert np.abs(finished[200, 192] - expected).max() <= 1 + abs(by) // 8
    assert np.abs(finished[200, 383] - expected).max() <= 1 + abs(by) // 8


def test_further_in_it_is_as_it_was_drawn_and_on_the_way_there_is_no_step() -> None:
    kept, drawn = Image.new("RGB", SIZE, GROUND), Image.new("RGB", SIZE, changed(GROUND, 12))

    finished = met(drawn, kept, mask_of(64, 64, 448, 320))

    row = finished[192, :, 0]
    assert np.abs(np.diff(row)).max() <= 2
    assert row[256] == GROUND[0] - 12
    assert np.array_equal(finished[192, 256], changed(GROUND, 12))


def test_what_is_kept_is_kept_to_the_pixel() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    kept, mask = Image.fromarray(noise), mask_of(*BOX)

    finished = met(Image.fromarray(noise // 2 + 60), kept, mask)

    outside = np.asarray(mask) == 0
    assert np.array_equal(finished[outside], noise[outside])


def test_what_was_drawn_otherwise_changes_nothing() -> None:
    kept, drawn = Image.new("RGB", SIZE, "navy"), Image.new("RGB", SIZE, "white")

    assert levelled(drawn, kept, mask_of(*BOX)).tobytes() == drawn.tobytes()


def test_little_is_changed_where_little_of_the_edge_is_alike() -> None:
    kept, drawn = Image.new("RGB", SIZE, GROUND), Image.new("RGB", SIZE, changed(GROUND, 8))
    # All along the left edge something else was drawn.
    drawn.paste("navy", (0, 0, 192, SIZE[1]))

    finished = met(drawn, kept, mask_of(*BOX))

    assert np.abs(finished[208, 194] - changed(GROUND, 8)).max() <= 1
    assert np.abs(finished[208, 382] - GROUND).max() <= 2


@pytest.mark.parametrize("size", [(8, 8), (64, 1000), (1000, 64), (130, 129)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_any_size_and_any_mask_will_do(size: tuple[int, int], share: float) -> None:
    mask = mask_of(0, 0, round(size[0] * share), size[1], size=size)
    kept, drawn = Image.new("RGB", size, GROUND), Image.new("RGB", size, changed(GROUND, 5))

    finished = met(drawn, kept, mask)

    assert finished.shape == (size[1], size[0], 3)
    assert set(np.unique(finished[..., 0])) <= set(range(GROUND[0] - 5, GROUND[0] + 2))
    if share == 1.0:
        assert np.array_equal(finished[0, 0], changed(GROUND, 5))


def test_a_transparent_picture_is_left_as_it_was_drawn() -> None:
    kept, drawn = Image.new("RGBA", SIZE, (*GROUND, 128)), Image.new("RGBA", SIZE, (*GROUND[:2], 230, 120))
    canvas = Canvas(Edit((kept,), mask_of(*BOX), 1.0), SIZE, SIZE, transparent=True)

    finished = np.asarray(canvas.finished(np.asarray(drawn)))

    assert tuple(finished[200, 200]) == (*GROUND[:2], 230, 120)
