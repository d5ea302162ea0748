"""Requests of low priority: drawn while there is nothing else to do, and as they would be alone."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from shared.catalogue import Catalogue
from shared.errors import MadeWay
from shared.params import Params
from tests.tiny_models import write_catalogue
from tests.unit.engine.drawing import Recorder, RequestMaker
from tests.unit.engine.families import save_pixart
from tests.waiting import wait_until
from worker.engine import Engine, ImageRequest, ImageResult
from worker.engine.beside.streams import Beside, Between, OtherThread
from worker.planning import image_request

LOW, OTHER = 32, 16
"""Latents are so wide: a quarter of the pictures."""
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
TIMEOUT_S = 30
Run = Callable[..., Engine]


@pytest.fixture(params=["between", "beside"])
def beside_of(request: pytest.FixtureRequest) -> Callable[..., Beside]:
    """Texts and decodings between the ticks, as on a CPU, or beside them, as on a GPU."""
    if request.param == "between":
        return lambda _, wake: Between()  # noqa: ARG005 - named by its caller
    return lambda _, wake: OtherThread(wake)


@pytest.fixture
def run(
    tiny_catalogue: Catalogue, beside_of: Callable[..., Beside], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """A function that starts an engine; passes take up to four rows."""
    monkeypatch.setattr("worker.engine.engine.beside_ticks", beside_of)
    started: list[Engine] = []

    def start(catalogue: Catalogue = tiny_catalogue, **options: Any) -> Engine:
        specs = {spec.name: (spec, catalogue.check_weights(spec)) for spec in catalogue.specs}
        engine = Engine(specs, "cpu", torch_threads=1, **{"batch_rows": 4, **options})
        engine.start()
        started.append(engine)
        return engine

    yield start
    for engine in started:
        engine.close()


class Passes:
    """The forward passes of an engine's first model: how wide the latents of each were.

    ``at`` is called in the pass of that number, as one who submits while it runs.
    """

    def __init__(self, engine: Engine) -> None:
        self.widths: list[int] = []
        self._at: dict[int, Callable[[], object]] = {}
        network: Any = engine._residents.get("tiny").pipeline.unet
        network.register_forward_pre_hook(self._note)

    def at(self, number: int, act: Callable[[], object]) -> None:
        self._at[number] = act

    def _note(self, _module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        number = len(self.widths)
        self.widths.append(inputs[0].shape[-1])
        if number in self._at:
            self._at[number]()


@pytest.fixture
def low(make_request: RequestMaker) -> ImageRequest:
    return replace(make_request(width=128, seed=1), steps=20, low=True)


def test_what_comes_waits_for_the_pass_that_runs_and_shares_none_with_low_ones(
    run: Run, low: ImageRequest, make_request: RequestMaker
) -> None:
    """And the low picture is bit by bit the one that is drawn when nothing comes."""
    engine = run()
    undisturbed = engine.submit(low, Recorder()).result(TIMEOUT_S).images
    passes, others = Passes(engine), []
    other = make_request(seed=2, quality="low")
    alone = engine.submit(other, Recorder()).result(TIMEOUT_S).images
    steps = other.steps
    passes.widths.clear()
    for number in (5, 5 + steps + 4):
        passes.at(number, lambda: others.append(engine.submit(other, Recorder())))

    watcher = Recorder()
    drawn = engine.submit(low, watcher).result(TIMEOUT_S).images

    assert len(others) == 2
    assert all(each.result(TIMEOUT_S).images == alone for each in others)
    # Those of before the first came and the one that ran; all of its steps; then the low ones, and so again.
    expected = [LOW] * 6 + [OTHER] * steps + [LOW] * 4 + [OTHER] * steps
    assert passes.widths[: len(expected)] == expected
    assert passes.widths.count(LOW) == low.steps
    assert drawn == undisturbed
    assert watcher.reports == [(step, low.steps) for step in range(low.steps + 1)]


def test_as_many_low_rows_are_held_besides_as_others_fit(
    run: Run, low: ImageRequest, make_request: RequestMaker
) -> None:
    engine = run()
    passes = Passes(engine)
    room = engine.capacity
    others: list[Future[ImageResult]] = []

    def come() -> None:
        others.extend(
            engine.submit(make_request(seed=seed, quality="low"), Recorder()) for seed in range(room)
        )

    passes.at(3, come)
    lows = [engine.submit(replace(low, seeds=(seed,)), Recorder()) for seed in range(room + 2)]

    wait_until(lambda: others, what="the others")
    assert all(each.result(TIMEOUT_S).images for each in others)
    assert not any(each.done() for each in lows)
    assert all(each.result(TIMEOUT_S).images for each in lows)
    first = passes.widths.index(OTHER)
    assert set(passes.widths[first : first + 2 * make_request(quality="low").steps]) == {OTHER}


def test_low_ones_make_way_for_a_model_that_must_be_loaded(
    run: Run, low: ImageRequest, make_request: RequestMaker
) -> None:
    engine = run(model_memory_bytes=1)
    passes, others = Passes(engine), []
    passes.at(2, lambda: others.append(engine.submit(make_request("plain"), Recorder())))

    first = engine.submit(low, Recorder())

    assert isinstance(first.exception(TIMEOUT_S), MadeWay)
    assert len(passes.widths) == 3
    assert others[0].result(TIMEOUT_S).images


def test_no_low_one_has_a_model_loaded_while_others_run_or_wait(run: Run, make_request: RequestMaker) -> None:
    engine = run(model_memory_bytes=1)
    go_on, ends = threading.Event(), []
    running = engine.submit(make_request(), Recorder(at_step=lambda _: go_on.wait(10)))
    futures = {
        "low": engine.submit(replace(make_request("plain"), low=True), Recorder()),
        "others": engine.submit(make_request(seed=2, quality="high"), Recorder()),
    }
    for name, future in futures.items():
        future.add_done_callback(lambda _, name=name: ends.append(name))

    go_on.set()

    assert running.result(TIMEOUT_S).images
    assert all(future.result(TIMEOUT_S).images for future in futures.values())
    assert ends == ["others", "low"]


def test_low_ones_are_given_up_before_others_run_out_of_memory(
    run: Run, low: ImageRequest, make_request: RequestMaker
) -> None:
    engine = run()
    others: list[Future[ImageResult]] = []
    first = engine.submit(low, Recorder(at_step=lambda step: step == 2 and come()))

    def refuse(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[-1] == OTHER and not first.done():
            raise torch.OutOfMemoryError

    network: Any = engine._residents.get("tiny").pipeline.unet
    network.register_forward_pre_hook(refuse)

    def come() -> None:
        others.append(engine.submit(make_request(seed=2), Recorder()))

    assert isinstance(first.exception(TIMEOUT_S), MadeWay)
    assert others[0].result(TIMEOUT_S).images


@pytest.fixture
def whole(tmp_path: Path) -> Catalogue:
    """A model whose pipeline runs whole, as ``tiny``."""
    needs = save_pixart(tmp_path / "weights")
    entry = {"transparent": False, "negative_prompt": False, "weights": "weights", **needs}
    return Catalogue.load(write_catalogue(tmp_path, tiny=entry))


def test_a_pipeline_that_runs_whole_is_left_at_its_next_step_where_another_comes(
    run: Run, whole: Catalogue
) -> None:
    engine = run(whole)
    request = image_request(Params(prompt="swan", seed=3, n=2, width=64, height=64), whole.specs[0])
    others: list[Future[ImageResult]] = []

    def come(step: int) -> None:
        if step == 3:
            others.append(engine.submit(request, Recorder()))

    watcher = Recorder(at_step=come)
    first = engine.submit(replace(request, low=True), watcher)

    assert isinstance(first.exception(TIMEOUT_S), MadeWay)
    assert watcher.reports[-1][0] == 3
    assert others[0].result(TIMEOUT_S).images


def test_another_low_one_gives_no_reason_to_leave_it(run: Run, whole: Catalogue) -> None:
    engine = run(whole)
    request = image_request(Params(prompt="swan", seed=3, width=64, height=64), whole.specs[0])
    lows = [engine.submit(replace(request, low=True), Recorder()) for _ in range(2)]

    first, second = (each.result(TIMEOUT_S).images for each in lows)

    assert first == second
