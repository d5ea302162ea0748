"""Edits through the engine's public face, on tiny models."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from shared.catalogue import Catalogue
from shared.errors import AttemptCancelled, DarkroomError, GenerationFailed, OutOfDeviceMemory
from shared.params import Params
from tests.tiny_models import write_catalogue
from tests.unit.engine.drawing import Recorder, RequestMaker, Viewer, picture, pixels
from tests.unit.engine.rows.editing import mask_of, picture_of
from tests.unit.engine.rows.test_batcher import Held, record_batches, submit_together
from tests.unit.engine.rows.tiny import BEGINS
from worker.engine import Edit, Engine, ImageRequest
from worker.engine.beside.streams import OtherThread
from worker.engine.life import Life
from worker.engine.models.residents import Residents
from worker.engine.pictures.encoding import EncoderPool
from worker.engine.pictures.provenance import COMPOSITE, TRAINED
from worker.engine.rows.batcher import Batcher
from worker.engine.rows.caps import Caps
from worker.engine.rows.families.registry import adapt
from worker.engine.work import Work
from worker.planning import image_request

ROWS = 4
SIZE = (64, 64)
MASK = mask_of(16, 8, 40, 48, size=SIZE)
SQUARE = {
    "native_width": 64,
    "native_height": 64,
    "multiple": 16,
    "min_area_px": 64 * 64,
    "max_area_px": 64 * 64,
    "max_generated_aspect": 1,
    "max_side_px": 2048,
    "max_aspect": 4,
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """With alpha, without, one that draws squares only, and one that edits nothing."""
    opaque = {"transparent": False}
    entries: dict[str, dict[str, Any]] = {
        "tiny": {"edits": BEGINS},
        "plain": {"edits": {**BEGINS, "masks": False}, **opaque},
        "square": {"edits": BEGINS, "sizes": SQUARE, **opaque},
        "none": opaque,
    }
    return Catalogue.load(write_catalogue(tmp_path_factory.mktemp("edits"), **entries))


@pytest.fixture(scope="module")
def engine(catalogue: Catalogue) -> Iterator[Engine]:
    running = engine_with(catalogue)
    yield running
    running.close()


@pytest.fixture
def broken(catalogue: Catalogue) -> Iterator[Engine]:
    """An engine of one's own, to break."""
    running = engine_with(catalogue)
    yield running
    running.close()


@pytest.fixture
def network(broken: Engine) -> Any:
    return broken._residents.get("tiny").pipeline


def engine_with(catalogue: Catalogue) -> Engine:
    specs = {spec.name: (spec, catalogue.check_weights(spec)) for spec in catalogue.specs}
    running = Engine(specs, "cpu", torch_threads=1, batch_rows=ROWS)
    running.start()
    return running


@pytest.fixture(scope="module")
def make_edit(catalogue: Catalogue) -> RequestMaker:
    """A function that makes a request for a model of the catalogue, by default of a picture in its size."""

    def make(model: str = "tiny", edit: Edit | None = None, **choices: object) -> ImageRequest:
        spec = catalogue.find(model)
        assert spec is not None
        asked = {"prompt": "Black Swan", "seed": 7, "width": 64, "height": 64, **choices}
        request = image_request(Params.model_validate(asked), spec)
        size = (request.width, request.height)
        return replace(request, edit=edit or Edit((picture_of(1, size),), None, 0.5))

    return make


def masked(size: tuple[int, int] = SIZE, mode: str = "RGB", strength: float = 0.75) -> Edit:
    return Edit((picture_of(1, size, mode),), mask_of(16, 8, 40, 48, size=size), strength)


def outside(mask: Image.Image) -> Any:
    return np.asarray(mask) == 0


def furthest(file: bytes, other: bytes) -> int:
    """The largest difference of any value of two images."""
    difference: int = np.abs(pixels(file).astype(int) - pixels(other)).max()
    return difference


def draw(engine: Engine, request: ImageRequest, watcher: Recorder | None = None) -> tuple[bytes, ...]:
    return engine.submit(request, watcher or Recorder()).result(30).images


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (90, 70), (200, 120), (64, 256)])
def test_what_the_mask_keeps_is_the_picture_to_the_byte(
    engine: Engine, make_edit: RequestMaker, size: tuple[int, int]
) -> None:
    edit = masked(size)
    assert edit.mask is not None
    kept, original = outside(edit.mask), np.asarray(edit.images[0])

    for file in draw(engine, make_edit(edit=edit, width=size[0], height=size[1], n=2)):
        drawn = pixels(file)
        assert drawn.shape == original.shape
        assert np.array_equal(drawn[kept], original[kept])
        assert np.abs(drawn[~kept].astype(int) - original[~kept]).mean() > 5


def test_where_the_size_is_another_it_is_the_picture_as_lanczos_makes_it(
    engine: Engine, make_edit: RequestMaker
) -> None:
    edit = masked((320, 320))

    (file,) = draw(engine, make_edit(edit=edit, width=96, height=96))

    expected = np.asarray(ImageOps.fit(edit.images[0], (96, 96), Image.Resampling.LANCZOS))
    kept = np.ones((96, 96), bool)
    kept[1:17, 3:15] = False
    assert np.array_equal(pixels(file)[kept], expected[kept])


def test_the_previews_keep_it_as_well(engine: Engine, make_edit: RequestMaker) -> None:
    edit, viewer = masked(strength=1.0), Viewer(lambda step: int(step > 2))
    kept, original = outside(MASK), np.asarray(edit.images[0])

    draw(engine, make_edit(edit=edit, partial_images=1), viewer)

    shown = pixels(viewer.files[0])
    assert np.array_equal(shown[kept], original[kept])
    assert not np.array_equal(shown[~kept], original[~kept])


@pytest.mark.parametrize("size", [(64, 64), (128, 64)])
def test_who_looks_at_it_sees_what_is_delivered(
    engine: Engine, make_edit: RequestMaker, size: tuple[int, int]
) -> None:
    shown = list[tuple[bool, Image.Image]]()

    def look(seen: Image.Image, *, preview: bool) -> None:
        shown.append((preview, seen.copy()))

    request = make_edit("square", masked(size, strength=1.0), width=size[0], height=size[1], partial_images=1)
    viewer = Viewer(lambda step: int(step > 2))
    (file,) = draw(engine, replace(request, inspector=look), viewer)

    assert [preview for preview, _ in shown] == [True, False]
    for (_, seen), delivered in zip(shown, (viewer.files[0], file), strict=True):
        assert np.array_equal(np.asarray(seen), pixels(delivered))


def test_a_transparent_picture_keeps_its_alpha_and_what_is_below(
    engine: Engine, make_edit: RequestMaker
) -> None:
    edit = masked(mode="RGBA")
    kept, original = outside(MASK), np.asarray(edit.images[0])

    (file,) = draw(engine, make_edit(edit=edit, background="transparent"))

    assert picture(file).mode == "RGBA"
    assert np.array_equal(pixels(file)[kept], original[kept])


def test_where_none_is_asked_for_alpha_is_composed_on_white(engine: Engine, make_edit: RequestMaker) -> None:
    edit = masked(mode="RGBA")
    white = Image.new("RGBA", SIZE, "white")
    on_white = Image.alpha_composite(white, edit.images[0]).convert("RGB")
    kept = outside(MASK)

    (file,) = draw(engine, make_edit(edit=edit, output_format="png"))
    (same,) = draw(engine, make_edit(edit=Edit((on_white,), MASK, 0.75)))

    assert picture(file).mode == "RGB"
    assert np.array_equal(pixels(file)[kept], np.asarray(on_white)[kept])
    assert furthest(file, same) <= 1


@pytest.mark.parametrize("size", [(256, 64), (64, 192), (128, 128)])
def test_a_picture_longer_than_is_drawn_is_edited_whole(
    engine: Engine, make_edit: RequestMaker, size: tuple[int, int]
) -> None:
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 8, size[1] // 8))
    edit = Edit((picture_of(1, size),), mask, 1.0)

    drawn = pixels(draw(engine, make_edit("square", edit, width=size[0], height=size[1]))[0])

    kept, original = outside(mask), np.asarray(edit.images[0])
    assert np.array_equal(drawn[kept], original[kept])
    assert np.abs(drawn[~kept].astype(int) - original[~kept]).max() > 5


def test_its_file_says_that_it_was_made_of_another(engine: Engine, make_edit: RequestMaker) -> None:
    edited, drawn = (
        picture(draw(engine, request)[0]).info["Source"]
        for request in (make_edit(), replace(make_edit(), edit=None))
    )

    assert (edited, drawn) == (COMPOSITE, TRAINED)


def test_each_seed_has_its_own_and_repeats_it(engine: Engine, make_edit: RequestMaker) -> None:
    first, second = (pixels(file).astype(int) for file in draw(engine, make_edit(n=2)))

    again = pixels(draw(engine, make_edit(seed=8))[0])
    assert np.abs(second - again).max() <= 1
    assert np.abs(second - first).max() > 10


@pytest.mark.parametrize(("strength", "steps"), [(1.0, 4), (0.75, 3), (0.5, 2), (0.0, 1)])
def test_watchers_are_told_of_the_steps_that_are_taken(
    engine: Engine, make_edit: RequestMaker, strength: float, steps: int
) -> None:
    watcher = Recorder()

    draw(engine, make_edit(edit=Edit((picture_of(1),), None, strength), n=2), watcher)

    assert watcher.reports[0] == (0, 2 * steps)
    assert watcher.reports[-1] == (2 * steps, 2 * steps)
    assert {total for _, total in watcher.reports} == {2 * steps}


def test_it_stops_when_it_is_told_to(engine: Engine, make_edit: RequestMaker) -> None:
    watcher = Recorder(stop_after=1)

    failure = engine.submit(make_edit(edit=masked()), watcher).exception(30)

    assert isinstance(failure, AttemptCancelled)
    assert watcher.reports[-1][0] == 1


TWO = (picture_of(1), picture_of(2))


@pytest.mark.parametrize(
    ("model", "edit", "words"),
    [
        ("none", Edit(TWO[:1], None, 0.5), "edits no pictures"),
        ("tiny", Edit(TWO, None, 0.5), "with 1 to 1 pictures, not with 2"),
        ("tiny", Edit((), None, 0.5), "not with 0"),
        ("plain", Edit(TWO[:1], MASK, 0.5), "takes no mask"),
        ("tiny", Edit(TWO[:1], None, None), "by image-to-image"),
    ],
)
def test_what_the_models_entry_does_not_allow_is_refused(
    engine: Engine, make_edit: RequestMaker, model: str, edit: Edit, words: str
) -> None:
    failure = engine.submit(make_edit(model, edit), Recorder()).exception(30)

    assert isinstance(failure, GenerationFailed)
    assert words in str(failure)


def test_its_pictures_are_encoded_once_for_all_its_images(
    broken: Engine, network: Any, make_edit: RequestMaker
) -> None:
    runs = list[int]()
    network.vae.encoder.register_forward_pre_hook(lambda _module, inputs: runs.append(len(inputs[0])))

    assert len(draw(broken, make_edit(edit=masked(), n=3))) == 3

    assert runs == [1]


def test_edits_share_passes_with_others_and_each_is_drawn_as_if_alone(
    broken: Engine, network: Any, make_edit: RequestMaker
) -> None:
    requests = [
        make_edit(seed=1, quality="high"),
        make_edit(seed=2, edit=masked()),
        replace(make_edit(seed=3), edit=None),
        make_edit(seed=4, edit=Edit((picture_of(3, SIZE),), None, 1.0), prompt="red apple"),
    ]
    alone = [draw(broken, request)[0] for request in requests]
    batches = record_batches(network)

    first, others = submit_together(broken, requests[0], [(each, Recorder()) for each in requests[1:]])

    drawn = [future.result(30).images[0] for future in (first, *others)]
    assert max(batches) == 2 * ROWS
    for image, expected in zip(drawn, alone, strict=True):
        assert furthest(image, expected) <= 1


def test_a_picture_that_cannot_be_encoded_whole_is_encoded_in_tiles(
    broken: Engine, network: Any, make_edit: RequestMaker
) -> None:
    expected = draw(broken, make_edit())[0]
    refused = list[bool]()

    def refuse(_module: object, _inputs: object) -> None:
        if not network.vae.use_tiling:
            refused.append(True)
            raise torch.OutOfMemoryError

    network.vae.encoder.register_forward_pre_hook(refuse)

    image = draw(broken, make_edit())[0]

    assert refused == [True]
    assert not network.vae.use_tiling
    assert furthest(image, expected) <= 1


@pytest.mark.parametrize(
    ("error", "failure"),
    [(torch.OutOfMemoryError(), OutOfDeviceMemory), (ZeroDivisionError(), GenerationFailed)],
    ids=["memory", "bug"],
)
def test_a_picture_that_cannot_be_encoded_fails_alone(
    broken: Engine, network: Any, make_edit: RequestMaker, error: Exception, failure: type[DarkroomError]
) -> None:
    def refuse(_module: object, _inputs: object) -> None:
        raise error

    hook = network.vae.encoder.register_forward_pre_hook(refuse)
    held = Held(broken, replace(make_edit(quality="high"), edit=None))
    edit = broken.submit(make_edit(), Recorder())
    held.let_go()

    assert type(edit.exception(30)) is failure
    assert held.future.result(30).images
    hook.remove()
    assert draw(broken, make_edit())


def test_a_picture_that_is_none_fails_alone(engine: Engine, make_edit: RequestMaker) -> None:
    nothing: Any = object()

    failure = engine.submit(make_edit(edit=Edit((nothing,), None, 0.5)), Recorder()).exception(30)

    assert isinstance(failure, GenerationFailed)
    assert draw(engine, make_edit())


def test_values_that_are_no_numbers_are_encoded_again_in_full_precision(
    broken: Engine, network: Any, make_edit: RequestMaker
) -> None:
    expected = draw(broken, make_edit())[0]
    spoilt = list[bool]()

    def spoil(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        spoilt.append(True)
        return torch.full_like(output, torch.nan)

    network.vae.encoder.register_forward_hook(spoil)

    assert furthest(draw(broken, make_edit())[0], expected) <= 1
    assert spoilt == [True]


def test_where_that_helps_nothing_it_fails(broken: Engine, network: Any, make_edit: RequestMaker) -> None:
    next(network.vae.encoder.parameters()).data.fill_(torch.nan)

    failure = broken.submit(make_edit(), Recorder()).exception(30)

    assert isinstance(failure, GenerationFailed)
    assert "no numbers of a picture" in str(failure)


def test_others_are_drawn_while_its_pictures_are_encoded(
    catalogue: Catalogue, make_edit: RequestMaker
) -> None:
    specs: dict[str, tuple[Any, Path]] = {
        spec.name: (spec, catalogue.check_weights(spec)) for spec in catalogue.specs
    }
    cpu, go_on = torch.device("cpu"), threading.Event()
    residents, beside, encoders = Residents(specs, cpu, adapt), OtherThread(lambda: None), EncoderPool()
    batcher = Batcher(residents, Caps(cpu, fixed=ROWS), beside, encoders, Life())
    vae = residents.get("tiny").pipeline.vae
    batcher.measure("tiny")
    encoded = list[bool]()
    vae.encoder.register_forward_pre_hook(lambda *_: encoded.append(go_on.wait(20)))
    text = replace(make_edit(seed=3), edit=None)
    waiting, watcher = Work(make_edit(edit=masked()), Recorder()), Recorder()
    other = Work(text, watcher)

    with torch.inference_mode():
        # Its text is known, so that it needs the other thread for nothing before its last step.
        family = residents.adapter("tiny")
        assert family is not None
        first = Work(text, Recorder())
        batcher.add(first)
        while not first.future.done():
            batcher.turn()
        batcher.add(waiting)
        batcher.add(other)
        while watcher.reports[-1:] != [(4, 4)]:
            batcher.turn()
        assert encoded == []
        go_on.set()
        while not (waiting.future.done() and other.future.done()):
            batcher.turn()
    beside.close()
    encoders.close()

    assert encoded == [True]
    assert waiting.future.result().images
    ((again,), (alone,)) = (each.future.result().images for each in (other, first))
    assert furthest(again, alone) <= 1
