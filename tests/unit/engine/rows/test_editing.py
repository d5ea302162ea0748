"""A row that begins with a picture is drawn as by the stock pipeline for that, whatever is beside it."""

from typing import Any

import pytest
import torch

from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of, draw_joining, furthest, stock, tick
from tests.unit.engine.rows.editing import mask_of, picture_of, row_of, stock_edit
from tests.unit.engine.rows.test_families import (
    FLOW_SCHEDULERS,
    LONG,
    NOISE_SCHEDULERS,
    TOLERANCE,
    scheduled_by,
)
from tests.unit.engine.rows.tiny import RGB
from tests.unit.engine.stages.recorders import FakeRecorder
from worker.engine.request import Edit
from worker.engine.rows.clean import clean_latents
from worker.engine.rows.families.timesteps import noised

BEGINNING = [RGB, "StableDiffusionXLPipeline", "ZImagePipeline"]
MASKS = [None, mask_of(16, 8, 40, 48)]
both_masks = pytest.mark.parametrize("mask", MASKS, ids=["whole", "masked"])
beginning = pytest.mark.parametrize("name", BEGINNING)
# Of numpy about torch's tensors, raised by some schedulers.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@beginning
@both_masks
@pytest.mark.parametrize("strength", [0.2, 0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_it_is_drawn_as_by_the_stock_pipeline(
    adapted: Adapted, name: str, mask: Any, strength: float, guidance: float
) -> None:
    family, edit = adapted(name), Edit((picture_of(1),), mask, strength)
    call = call_of(family.model, "black swan", 5, guidance)
    expected = stock_edit(family, call, 11, edit)

    (image,) = draw_joining(family, [row_of(family, call, 11, edit)])

    assert furthest([image], [expected]) <= TOLERANCE


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(
    ("scheduler", "settings"), NOISE_SCHEDULERS, ids=[name for name, _ in NOISE_SCHEDULERS]
)
def test_whatever_its_scheduler(
    adapted: Adapted, scheduler: str, settings: dict[str, object], *, masked: bool
) -> None:
    family = adapted(RGB)
    edits = [
        Edit((picture_of(seed),), MASKS[masked], strength) for seed, strength in enumerate((0.4, 0.7, 1.0))
    ]
    calls = [call_of(family.model, "black swan", 6 + seed, 3.0) for seed in range(len(edits))]
    with scheduled_by(family, scheduler, settings):
        expected = [stock_edit(family, *each) for each in zip(calls, range(3), edits, strict=True)]
        rows = [row_of(family, *each) for each in zip(calls, range(3), edits, strict=True)]

    images = draw_joining(family, rows)

    assert furthest(images, expected) <= TOLERANCE


@both_masks
def test_noise_on_the_way_is_the_stock_pipelines_own(adapted: Adapted, mask: Any) -> None:
    family, edit = adapted(RGB), Edit((picture_of(1),), mask, 0.7)
    call = call_of(family.model, "black swan", 6, 3.0, eta=1.0)
    expected = stock_edit(family, call, 5, edit)

    (image,) = draw_joining(family, [row_of(family, call, 5, edit)])

    assert furthest([image], [expected]) <= TOLERANCE


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(("scheduler", "settings"), FLOW_SCHEDULERS[:2])
def test_whatever_its_flow_scheduler(
    adapted: Adapted, scheduler: str, settings: dict[str, object], *, masked: bool
) -> None:
    family, edit = adapted("ZImagePipeline"), Edit((picture_of(1),), MASKS[masked], 0.6)
    call = call_of(family.model, "black swan", 6, 3.0)
    with scheduled_by(family, scheduler, settings):
        expected = stock_edit(family, call, 3, edit)
        row = row_of(family, call, 3, edit)

    assert furthest(draw_joining(family, [row]), [expected]) <= TOLERANCE


@beginning
def test_rows_with_and_without_pictures_are_drawn_together_as_if_each_were_alone(
    adapted: Adapted, name: str
) -> None:
    family = adapted(name)
    edits = [
        Edit((picture_of(1),), None, 0.5),
        None,
        Edit((picture_of(2),), mask_of(0, 0, 32, 48), 0.9),
        Edit((picture_of(3),), mask_of(16, 16, 64, 32), 1.0),
        None,
        Edit((picture_of(4),), None, 0.3),
    ]
    words = ["black swan", LONG, "cat", "", "black swan", LONG]
    calls = [call_of(family.model, text, 4 + i % 3, 2.0 * (i % 2)) for i, text in enumerate(words)]
    expected = [
        stock(family.model, call, seed) if edit is None else stock_edit(family, call, seed, edit)
        for seed, (call, edit) in enumerate(zip(calls, edits, strict=True))
    ]

    rows = [row_of(family, call, seed, edits[seed]) for seed, call in enumerate(calls)]
    images = draw_joining(family, rows)

    assert furthest(images, expected) <= TOLERANCE


@beginning
def test_the_picture_its_mask_and_the_strength_decide_what_is_drawn(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    call = call_of(family.model, "black swan", 5, 3.0)
    choices = [(1, None, 0.6), (2, None, 0.6), (1, None, 0.9), (1, mask_of(16, 8, 40, 48), 0.6)]
    edits = [Edit((picture_of(picture),), mask, strength) for picture, mask, strength in choices]

    first, *others = draw_joining(family, [row_of(family, call, 1, edit) for edit in edits])

    assert min(furthest([first], [other]) for other in others) > 100 * TOLERANCE


@pytest.mark.parametrize("name", BEGINNING[:2])
def test_recordings_are_played_for_them_as_for_others(adapted: Adapted, name: str) -> None:
    family, recorder = adapted(name), FakeRecorder()
    call, edit = call_of(family.model, "black swan", 4, 3.0), Edit((picture_of(1),), MASKS[1], 0.8)
    expected = stock_edit(family, call, 1, edit)
    family.denoiser.turn_on(recorder, (2,))
    with family.denoiser.recording():
        tick(family, [family.prepare(call, 1)])

    (image,) = draw_joining(family, [row_of(family, call, 1, edit)])

    assert sum(each.played for each in recorder.recorded) == 1 + 3
    assert furthest([image], [expected]) <= TOLERANCE


@beginning
@pytest.mark.parametrize("strength", [0.0, 0.01])
def test_it_takes_a_step_however_little_is_to_be_drawn_anew(
    adapted: Adapted, name: str, strength: float
) -> None:
    family = adapted(name)
    call = call_of(family.model, "black swan", 5, 3.0)
    a_fifth, least = (row_of(family, call, 1, Edit((picture_of(1),), None, each)) for each in (0.2, strength))

    assert (least.steps, family.first_step(5, strength)) == (1, 4)
    assert furthest(draw_joining(family, [least]), draw_joining(family, [a_fifth])) == 0


@beginning
def test_progress_is_counted_in_the_steps_that_it_takes(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    row = row_of(family, call_of(family.model, "black swan", 8, 3.0), 1, Edit((picture_of(1),), None, 0.5))
    done = [row.steps_done]

    while not row.is_done:
        tick(family, [row])
        done.append(row.steps_done)

    assert done == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("scheduler", "settings"), NOISE_SCHEDULERS[:5])
def test_its_previews_show_what_it_is_heading_for(
    adapted: Adapted, scheduler: str, settings: dict[str, object]
) -> None:
    family = adapted(RGB)
    with scheduled_by(family, scheduler, settings):
        row = row_of(
            family, call_of(family.model, "black swan", 8, 1.0), 1, Edit((picture_of(1),), None, 0.5)
        )
    latents = row.latents

    (prediction,) = family.predict([row])
    heading_for = clean_latents(row, prediction)

    assert heading_for is not None
    noisy = noised(row.scheduler, heading_for, prediction, row.timesteps[:1])
    assert torch.allclose(noisy, latents, atol=1e-4)
