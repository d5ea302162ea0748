"""A row that looks at pictures is drawn as by FLUX.2 [klein]'s own calls, whatever is beside it."""

import pytest
import torch
from PIL import Image

from shared.errors import GenerationFailed
from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of, draw_joining, furthest, stock
from tests.unit.engine.rows.editing import mask_of, picture_of, row_of, stock_edit
from tests.unit.engine.rows.test_families import FLOW_SCHEDULERS, LONG, TOLERANCE, scheduled_by
from tests.unit.engine.stages.recorders import FakeRecorder
from worker.engine.request import Edit
from worker.engine.rows.families.family import RowFamily

LARGE, ODD = (80, 64), (71, 93)
MASK = mask_of(16, 8, 40, 48)


@pytest.fixture
def family(adapted: Adapted) -> RowFamily:
    return adapted("Flux2KleinPipeline")


def looking_at(*pictures: Image.Image, mask: Image.Image | None = None) -> Edit:
    return Edit(pictures, mask)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize(
    "edit",
    [
        looking_at(picture_of(1, LARGE)),
        looking_at(picture_of(1, ODD)),
        looking_at(picture_of(1, LARGE), picture_of(2, ODD), picture_of(3, (64, 64))),
    ],
    ids=["one", "of an odd size", "several"],
)
def test_it_is_drawn_as_by_the_stock_pipeline(family: RowFamily, edit: Edit, guidance: float) -> None:
    call = call_of(family.model, "black swan", 4, guidance)
    expected = stock_edit(family, call, 11, edit)

    (image,) = draw_joining(family, [row_of(family, call, 11, edit)])

    assert furthest([image], [expected]) <= TOLERANCE


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("more", [(), (picture_of(2, (68, 64)),)], ids=["one", "and another"])
def test_with_a_mask_it_is_drawn_as_by_the_stock_inpainting(
    family: RowFamily, more: tuple[Image.Image, ...], guidance: float
) -> None:
    edit = looking_at(picture_of(1), *more, mask=MASK)
    call = call_of(family.model, "black swan", 4, guidance)
    expected = stock_edit(family, call, 11, edit)

    (image,) = draw_joining(family, [row_of(family, call, 11, edit)])

    assert furthest([image], [expected]) <= TOLERANCE


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize(("scheduler", "settings"), FLOW_SCHEDULERS[:2])
def test_whatever_its_scheduler(
    family: RowFamily, scheduler: str, settings: dict[str, object], mask: Image.Image | None
) -> None:
    edit = looking_at(picture_of(1, (64, 64) if mask is None else (64, 48)), mask=mask)
    call = call_of(family.model, "black swan", 4, 3.0)
    with scheduled_by(family, scheduler, settings):
        expected = stock_edit(family, call, 3, edit)
        row = row_of(family, call, 3, edit)

    assert furthest(draw_joining(family, [row]), [expected]) <= TOLERANCE


def test_rows_that_look_at_pictures_of_one_size_are_drawn_together_as_if_each_were_alone(
    family: RowFamily,
) -> None:
    edits = [
        looking_at(picture_of(1)),
        looking_at(picture_of(2), mask=MASK),
        looking_at(picture_of(3), mask=mask_of(0, 0, 32, 48)),
        looking_at(picture_of(4)),
    ]
    words = ["black swan", LONG, "cat", ""]
    calls = [call_of(family.model, text, 4 + i % 3, 2.0 * (i % 2)) for i, text in enumerate(words)]
    alone = [
        draw_joining(family, [row_of(family, call, seed, edit)])[0]
        for seed, (call, edit) in enumerate(zip(calls, edits, strict=True))
    ]

    rows = [row_of(family, call, seed, edits[seed]) for seed, call in enumerate(calls)]

    assert {row.references for row in rows} == {((64, 48),)}
    assert furthest(draw_joining(family, rows), alone) <= TOLERANCE


def test_the_pictures_decide_what_is_drawn(family: RowFamily) -> None:
    one, other = picture_of(1, (64, 64)), picture_of(2, (64, 64))
    call = call_of(family.model, "black swan", 4, 3.0)
    rows = [row_of(family, call, 1, looking_at(*pictures)) for pictures in ((one, other), (one,), (other,))]

    images = [draw_joining(family, [row])[0] for row in rows]
    images.append(stock(family.model, call, 1))

    pairs = [(first, second) for i, first in enumerate(images) for second in images[:i]]
    assert min(furthest([first], [second]) for first, second in pairs) > 10 * TOLERANCE


@pytest.mark.parametrize("mask", [None, mask_of(8, 8, 40, 64, size=(64, 64))], ids=["whole", "masked"])
def test_the_transformer_is_given_what_the_stock_pipeline_gives_it(
    family: RowFamily, mask: Image.Image | None
) -> None:
    # In a picture of a tiny network the order of what it looks at is hardly seen.
    given = list[dict[str, torch.Tensor]]()
    hook = family.pipeline.transformer.register_forward_pre_hook(
        lambda _module, _inputs, named: given.append(named), with_kwargs=True
    )
    edit = looking_at(picture_of(1, (64, 64)), picture_of(2, (68, 64)), mask=mask)
    call = call_of(family.model, "black swan", 3, 1.0, height=64)
    try:
        stock_edit(family, call, 11, edit)
        draw_joining(family, [row_of(family, call, 11, edit)])
    finally:
        hook.remove()

    assert len(given) == 6
    for theirs, ours in zip(given[:3], given[3:], strict=True):
        for name in ("hidden_states", "img_ids", "timestep", "txt_ids", "encoder_hidden_states"):
            assert torch.allclose(ours[name].float(), theirs[name].float(), atol=TOLERANCE), name


def test_such_rows_leave_recordings_to_others(family: RowFamily) -> None:
    call, edit = call_of(family.model, "black swan", 3, 1.0), looking_at(picture_of(1, LARGE))
    expected = [stock(family.model, call, 1), stock_edit(family, call, 2, edit)]
    recorder = FakeRecorder()
    family.denoiser.turn_on(recorder, (1, 2))
    with family.denoiser.recording():
        draw_joining(family, [row_of(family, call, 2, edit)])
        assert recorder.recorded == []
        draw_joining(family, [family.prepare(call, 1)])

    rows = [row_of(family, call, 1, None), row_of(family, call, 2, edit)]
    images = [image for row in rows for image in draw_joining(family, [row])]

    assert furthest(images, expected) <= TOLERANCE
    assert len(recorder.recorded) == 3
    assert family.denoiser.wanted(1) is None


def test_a_large_picture_is_scaled_down_as_the_stock_pipeline_scales_it(family: RowFamily) -> None:
    large = picture_of(1, (1640, 1200))
    processor = family.pipeline.image_processor
    smaller = processor._resize_to_target_area(large)
    width, height = (side // 4 * 4 for side in smaller.size)
    expected = processor.preprocess(smaller, height=height, width=width, resize_mode="crop")

    (found,) = family.pictures(looking_at(large), None).references

    assert torch.equal(found, expected)
    assert found.shape[-1] * found.shape[-2] <= 1024 * 1024 < 1640 * 1200


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (5, 7)])
def test_a_picture_too_small_for_a_token_is_made_larger(family: RowFamily, size: tuple[int, int]) -> None:
    row = row_of(family, call_of(family.model, "cat", 1, 1.0), 1, looking_at(picture_of(1, size)))

    ((width, height),) = row.references
    assert (width % 4, height % 4) == (0, 0)
    assert min(width, height) >= 4
    assert draw_joining(family, [row])[0].isfinite().all()


def test_alpha_is_composed_on_white_before_it_is_looked_at(family: RowFamily) -> None:
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))

    (found,) = family.pictures(looking_at(clear), None).references

    assert bool((found == 1).all())


def test_a_family_without_a_way_to_edit_says_so(adapted: Adapted) -> None:
    family = adapted("FluxPipeline")

    with pytest.raises(GenerationFailed, match="does not edit pictures"):
        family.pictures(looking_at(picture_of(1)), None)


def test_a_family_that_begins_with_pictures_looks_at_none(adapted: Adapted) -> None:
    family = adapted("ZImagePipeline")

    with pytest.raises(GenerationFailed, match="does not edit pictures"):
        family.pictures(looking_at(picture_of(1)), None)
