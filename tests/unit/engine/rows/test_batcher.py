"""Requests that are drawn together, through the engine's public face."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import torch

from shared.catalogue import Catalogue
from shared.errors import AttemptCancelled, DeviceBroken, GenerationFailed, OutOfDeviceMemory
from tests.unit.engine.drawing import Recorder, RequestMaker, pixels
from worker.engine import Engine, ImageRequest, ImageResult

ROWS = 4
Hook = Callable[..., None]


def engine_with(catalogue: Catalogue, rows: int) -> Engine:
    specs = {spec.name: (spec, catalogue.check_weights(spec)) for spec in catalogue.specs}
    return Engine(specs, "cpu", torch_threads=1, batch_rows=rows)


@pytest.fixture
def together(tiny_catalogue: Catalogue) -> Iterator[Engine]:
    """An engine whose forward passes take up to four rows."""
    running = engine_with(tiny_catalogue, ROWS)
    running.start()
    yield running
    running.close()


@pytest.fixture
def network(together: Engine) -> Any:
    """The parts of its first model, to look at what is passed to them."""
    return together._residents.get("tiny").pipeline


class Held:
    """Keeps the engine busy with a request until it is let go, so that others gather meanwhile."""

    def __init__(self, engine: Engine, request: ImageRequest) -> None:
        self._began, self._go_on = threading.Event(), threading.Event()
        self.future = engine.submit(request, Recorder(at_step=self._hold))
        assert self._began.wait(10)

    def _hold(self, step: int) -> None:
        if step == 1:
            self._began.set()
            self._go_on.wait(10)

    def let_go(self) -> None:
        self._go_on.set()


def submit_together(
    engine: Engine, first: ImageRequest, requests: list[tuple[ImageRequest, Recorder]]
) -> tuple[Future[ImageResult], list[Future[ImageResult]]]:
    """Submit requests so that all of them are queued before any of them but the first goes on."""
    held = Held(engine, first)
    futures = [engine.submit(request, watcher) for request, watcher in requests]
    held.let_go()
    return held.future, futures


def record_batches(network: Any) -> list[int]:
    """Note the entries of each forward pass in a list."""
    entries: list[int] = []
    network.unet.register_forward_pre_hook(lambda _module, inputs: entries.append(len(inputs[0])))
    return entries


def test_requests_share_passes_and_each_is_drawn_as_if_alone(
    engine: Engine, together: Engine, network: Any, make_request: RequestMaker
) -> None:
    choices: list[dict[str, object]] = [
        {"seed": 1, "quality": "high"},
        {"seed": 2, "quality": "low", "n": 2},
        {"seed": 3, "style": "natural", "negative_prompt": "apple"},
        {"seed": 4, "width": 128, "prompt": "Red Apple"},
        {"seed": 5, "background": "transparent"},
    ]
    requests = [make_request(**choice) for choice in choices]
    alone = [engine.submit(request, Recorder()).result(30).images for request in requests]
    watchers = [Recorder() for _ in requests[1:]]
    batches = record_batches(network)

    first, others = submit_together(together, requests[0], list(zip(requests[1:], watchers, strict=True)))
    drawn = [future.result(30).images for future in (first, *others)]

    assert max(batches) == 2 * ROWS
    for images, expected in zip(drawn, alone, strict=True):
        for image, other in zip(images, expected, strict=True):
            assert np.abs(pixels(image).astype(int) - pixels(other)).max() <= 1
    for request, watcher in zip(requests[1:], watchers, strict=True):
        steps = request.steps * len(request.seeds)
        assert watcher.reports[0] == (0, steps)
        assert watcher.reports[-1] == (steps, steps)
        assert watcher.reports == sorted(watcher.reports)


def test_it_holds_more_rows_than_a_pass_takes_unless_that_is_one(engine: Engine, together: Engine) -> None:
    assert engine.capacity == 1
    assert together.capacity == 2 * ROWS


def test_a_request_joins_while_another_is_being_drawn(together: Engine, make_request: RequestMaker) -> None:
    finished: list[str] = []
    held = Held(together, make_request(quality="high"))
    held.future.add_done_callback(lambda _: finished.append("long"))
    short = together.submit(make_request(quality="low", seed=2), Recorder())
    short.add_done_callback(lambda _: finished.append("short"))

    held.let_go()

    assert held.future.result(30).images
    assert short.result(30).images
    assert finished == ["short", "long"]


def test_stopping_one_of_eight_leaves_the_others_as_they_were(
    engine: Engine, together: Engine, make_request: RequestMaker
) -> None:
    requests = [make_request(seed=seed) for seed in range(8)]
    alone = [engine.submit(request, Recorder()).result(30).images[0] for request in requests]
    watchers = [Recorder(stop_after=2 if seed == 3 else None) for seed in range(1, 8)]

    first, others = submit_together(together, requests[0], list(zip(requests[1:], watchers, strict=True)))

    stopped = others.pop(2)
    assert isinstance(stopped.exception(30), AttemptCancelled)
    assert watchers[2].reports[-1][0] == 2
    del alone[3]
    for future, expected in zip((first, *others), alone, strict=True):
        assert np.abs(pixels(future.result(30).images[0]).astype(int) - pixels(expected)).max() <= 1


def test_a_row_whose_pass_raises_fails_alone(
    together: Engine, network: Any, make_request: RequestMaker
) -> None:
    bad, _ = network.encode_prompt(
        "red apple, 3d render", torch.device("cpu"), 1, do_classifier_free_guidance=False
    )

    def refuse(_module: object, _inputs: object, named: dict[str, torch.Tensor]) -> None:
        if any(torch.equal(text, bad[0]) for text in named["encoder_hidden_states"]):
            raise ZeroDivisionError

    network.unet.register_forward_pre_hook(refuse, with_kwargs=True)
    prompts = ["black swan", "red apple", "blue apple"]
    requests = [(make_request(prompt=prompt, seed=seed), Recorder()) for seed, prompt in enumerate(prompts)]

    first, others = submit_together(together, make_request(quality="high"), requests)

    failure = others.pop(1).exception(30)
    assert isinstance(failure, GenerationFailed)
    assert isinstance(failure.__cause__, ZeroDivisionError)
    assert all(future.result(30).images for future in (first, *others))


def test_a_watcher_that_raises_fails_its_own_request_only(
    together: Engine, make_request: RequestMaker
) -> None:
    def fail(step: int) -> None:
        if step == 2:
            raise ZeroDivisionError

    requests = [(make_request(seed=1), Recorder(at_step=fail)), (make_request(seed=2), Recorder())]

    first, (failing, healthy) = submit_together(together, make_request(), requests)

    assert isinstance(failing.exception(30), GenerationFailed)
    assert first.result(30).images
    assert healthy.result(30).images


def test_a_pass_without_memory_is_run_again_with_half_the_rows(
    together: Engine, network: Any, make_request: RequestMaker
) -> None:
    def refuse(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > 4:
            raise torch.OutOfMemoryError

    batches = record_batches(network)
    network.unet.register_forward_pre_hook(refuse)
    requests = [(make_request(seed=seed), Recorder()) for seed in range(3)]

    first, others = submit_together(together, make_request(), requests)

    assert all(future.result(30).images for future in (first, *others))
    assert batches.count(2 * ROWS) == 1
    assert batches[-1] <= 4


def test_a_row_without_memory_of_its_own_fails_alone(
    together: Engine, network: Any, make_request: RequestMaker
) -> None:
    def refuse(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[-1] > 16:
            raise torch.OutOfMemoryError

    network.unet.register_forward_pre_hook(refuse)
    requests = [(make_request(width=128), Recorder()), (make_request(seed=2), Recorder())]

    first, (large, small) = submit_together(together, make_request(), requests)

    assert isinstance(large.exception(30), OutOfDeviceMemory)
    assert first.result(30).images
    assert small.result(30).images


def test_an_image_that_cannot_be_decoded_whole_is_decoded_in_tiles(
    engine: Engine, together: Engine, network: Any, make_request: RequestMaker
) -> None:
    refused: list[bool] = []

    def refuse(_module: object, _inputs: object) -> None:
        if not network.vae.use_tiling:
            refused.append(True)
            raise torch.OutOfMemoryError

    network.vae.decoder.register_forward_pre_hook(refuse)
    expected = engine.submit(make_request(), Recorder()).result(30).images[0]

    image = together.submit(make_request(), Recorder()).result(30).images[0]

    assert refused == [True]
    assert not network.vae.use_tiling
    assert np.abs(pixels(image).astype(int) - pixels(expected)).max() <= 1


def test_an_image_that_cannot_even_be_decoded_in_tiles_fails_alone(
    together: Engine, network: Any, make_request: RequestMaker
) -> None:
    def refuse(_module: object, _inputs: object) -> None:
        raise torch.OutOfMemoryError

    hook = network.vae.decoder.register_forward_pre_hook(refuse)

    assert isinstance(together.submit(make_request(), Recorder()).exception(30), OutOfDeviceMemory)

    hook.remove()
    assert together.submit(make_request(), Recorder()).result(30).images


def test_a_broken_device_ends_every_request(
    together: Engine, network: Any, make_request: RequestMaker
) -> None:
    message = "CUDA error: an illegal memory access was encountered"

    def fail(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > 2:
            raise torch.AcceleratorError(message)

    network.unet.register_forward_pre_hook(fail)

    first, others = submit_together(
        together, make_request(), [(make_request(seed=seed), Recorder()) for seed in range(12)]
    )

    assert all(isinstance(future.exception(30), DeviceBroken) for future in (first, *others))
    assert isinstance(together.submit(make_request(), Recorder()).exception(30), DeviceBroken)


def test_closing_stops_all_that_run(tiny_catalogue: Catalogue, make_request: RequestMaker) -> None:
    engine = engine_with(tiny_catalogue, ROWS)
    engine.start()
    held = Held(engine, make_request(quality="high"))
    futures = [engine.submit(make_request(seed=seed), Recorder()) for seed in range(10)]
    closer = threading.Thread(target=engine.close)

    closer.start()
    held.let_go()
    closer.join(30)

    assert {type(future.exception(30)) for future in (held.future, *futures)} == {AttemptCancelled}


def test_other_models_take_their_turn(together: Engine, make_request: RequestMaker) -> None:
    requests = [
        (make_request(model, seed=seed), Recorder()) for seed in range(3) for model in ("tiny", "plain")
    ]

    first, others = submit_together(together, make_request(), requests)

    assert all(future.result(30).images for future in (first, *others))
