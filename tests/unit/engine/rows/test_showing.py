"""Previews through the engine's public face: what a watcher is given, and what a request never suffers."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typing_extensions import override

from shared.catalogue import Catalogue
from tests.unit.engine.drawing import Recorder, RequestMaker, Viewer, engine_of, picture, pixels
from tests.unit.engine.rows.drawing import tick
from tests.waiting import wait_until
from worker.engine import Engine
from worker.engine.beside.streams import Between
from worker.engine.models.arguments import call_arguments
from worker.engine.pictures.encoding import EncoderPool
from worker.engine.pictures.pixels import to_pixels
from worker.engine.rows.clean import clean_latents
from worker.engine.rows.drawing import Member
from worker.engine.rows.previews import Previews, Shot
from worker.engine.rows.showing import show
from worker.engine.work import Work


def first_of_three(step: int) -> int:
    """A preview of the first step of four, which starts when that has been reported."""
    return int(step > 1)


def only_one(step: int) -> int:
    """A preview of the second step of four."""
    return int(step > 2)


@pytest.fixture
def previewing(tiny_catalogue: Catalogue) -> Iterator[Engine]:
    """An engine of one's own, to break."""
    running = engine_of(tiny_catalogue)
    running.start()
    yield running
    running.close()


def test_previews_come_in_order_and_in_the_size_and_format_of_the_image(
    engine: Engine, make_request: RequestMaker
) -> None:
    request = make_request(partial_images=3, width=72, height=88, output_format="webp", output_compression=40)
    viewer = Viewer(first_of_three)

    image = engine.submit(request, viewer).result(30).images[0]

    assert viewer.previews[0] == (0, 0)
    assert viewer.previews == sorted(set(viewer.previews))
    for file in viewer.files:
        assert Image.open(BytesIO(file)).format == "WEBP"
        assert picture(file).size == picture(image).size == (72, 88)


def test_the_image_is_the_same_with_and_without_previews(engine: Engine, make_request: RequestMaker) -> None:
    without = engine.submit(make_request(), Viewer()).result(30).images
    viewer = Viewer(first_of_three)

    images = engine.submit(make_request(partial_images=3), viewer).result(30).images

    assert images == without
    assert viewer.files


def test_previews_of_a_transparent_image_keep_their_alpha(engine: Engine, make_request: RequestMaker) -> None:
    viewer = Viewer(only_one)

    engine.submit(make_request(partial_images=1, background="transparent"), viewer).result(30)

    assert picture(viewer.files[0]).mode == "RGBA"


def test_what_is_shown_is_what_the_row_is_heading_for(engine: Engine, make_request: RequestMaker) -> None:
    request, viewer = make_request(partial_images=1), Viewer(only_one)
    engine.submit(request, viewer).result(30)
    model, family = engine._residents.get("tiny"), engine._residents.adapter("tiny")
    assert family is not None

    with torch.inference_mode():
        row = family.prepare(call_arguments(model, request), request.seeds[0])
        tick(family, [row])
        (prediction,) = family.predict([row])
        heading_for = clean_latents(row, prediction)
        expected = to_pixels(family.decode(row, heading_for), keep_alpha=False)
        noisy = to_pixels(family.decode(row), keep_alpha=False)

    shown = pixels(viewer.files[0]).astype(int)
    assert np.abs(shown - expected).max() <= 1
    assert np.abs(shown - noisy).max() > 10


def test_each_image_of_a_request_has_its_own(engine: Engine, make_request: RequestMaker) -> None:
    alone = Viewer(only_one)
    engine.submit(make_request(partial_images=1, seed=8), alone).result(30)
    viewer = Viewer(lambda step: int(step > 2) + int(step > 6))

    engine.submit(make_request(partial_images=1, n=2), viewer).result(30)

    assert viewer.previews == [(0, 0), (1, 0)]
    assert np.abs(pixels(viewer.files[1]).astype(int) - pixels(alone.files[0])).max() <= 1


def test_a_watcher_that_takes_none_is_given_none(engine: Engine, make_request: RequestMaker) -> None:
    recorder = Recorder()

    assert engine.submit(make_request(partial_images=3), recorder).result(30).images
    assert recorder.reports[-1] == (4, 4)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(), ZeroDivisionError()], ids=["memory", "bug"])
def test_a_preview_that_fails_is_left_out_and_the_image_comes(
    previewing: Engine, make_request: RequestMaker, error: Exception
) -> None:
    expected = previewing.submit(make_request(), Recorder()).result(30).images
    network: Any = previewing._residents.get("tiny").pipeline
    times = iter(range(100))

    def refuse(_module: object, _inputs: object) -> None:
        if next(times) == 0:
            raise error

    network.vae.decoder.register_forward_pre_hook(refuse)
    viewer = Viewer(only_one)

    assert previewing.submit(make_request(partial_images=3), viewer).result(30).images == expected
    assert viewer.previews[0] == (0, 1)


def test_one_that_comes_late_is_not_even_decoded(make_request: RequestMaker) -> None:
    decoded: list[object] = []
    drawing: Any = SimpleNamespace(
        work=Work(make_request(), Viewer()),
        has_ended=False,
        low=False,
        family=SimpleNamespace(decode=lambda *args: decoded.append(args)),
    )
    row: Any = SimpleNamespace()
    member = Member(row, drawing, Previews((1,)), pixels=Future())
    member.previews._taken = Shot(0, torch.zeros(1))
    encoders = EncoderPool()

    show(member, Between(), encoders)

    encoders.close()
    assert decoded == []


def test_a_watcher_that_raises_does_not_hurt_its_request(engine: Engine, make_request: RequestMaker) -> None:
    class Clumsy(Viewer):
        @override
        def on_preview(self, image: int, partial: int, file: bytes) -> None:
            super().on_preview(image, partial, file)
            raise ZeroDivisionError

    viewer = Clumsy(first_of_three)

    assert engine.submit(make_request(partial_images=3), viewer).result(30).images
    assert viewer.previews[0] == (0, 0)


def test_a_preview_that_is_slow_holds_nothing_up_and_those_behind_it_are_left_out(
    engine: Engine, make_request: RequestMaker
) -> None:
    let_go = threading.Event()

    class Slow(Viewer):
        @override
        def on_preview(self, image: int, partial: int, file: bytes) -> None:
            let_go.wait(20)
            super().on_preview(image, partial, file)

    viewer = Slow()

    assert engine.submit(make_request(partial_images=3, quality="high"), viewer).result(30).images
    let_go.set()
    wait_until(lambda: viewer.previews)
    # The encoders are free again, and nothing of that request is left in them.
    engine.submit(make_request(), Recorder()).result(30)
    assert viewer.previews == [(0, 0)]


def test_two_requests_share_passes_and_each_has_the_previews_that_it_has_alone(
    tiny_catalogue: Catalogue, make_request: RequestMaker
) -> None:
    specs = {spec.name: (spec, tiny_catalogue.check_weights(spec)) for spec in tiny_catalogue.specs}
    together = Engine(specs, "cpu", torch_threads=1, batch_rows=4)
    together.start()
    requests = [make_request(partial_images=1, seed=seed) for seed in range(4)]
    alone = [Viewer(only_one) for _ in requests]
    for request, viewer in zip(requests, alone, strict=True):
        together.submit(request, viewer).result(30)

    viewers = [Viewer(only_one) for _ in requests]
    futures = [together.submit(request, viewer) for request, viewer in zip(requests, viewers, strict=True)]

    for future, viewer, expected in zip(futures, viewers, alone, strict=True):
        assert future.result(30).images
        assert np.abs(pixels(viewer.files[0]).astype(int) - pixels(expected.files[0])).max() <= 1
    together.close()
