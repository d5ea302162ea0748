"""When each stage was: told to watchers that ask, with real instants, whatever becomes of the request."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import pytest

from shared.catalogue import Catalogue
from shared.errors import AttemptCancelled
from shared.params import Params
from tests.tiny_models import write_catalogue
from tests.unit.engine.drawing import Recorder, RequestMaker, engine_of
from tests.unit.engine.families import save_pixart
from worker.engine import Engine
from worker.planning import image_request

ORDER = ("queue", "load", "denoise", "decode", "encode")


class Witness(Recorder):
    """Takes note of each stage."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__(stop_after)
        self.stages: list[tuple[str, float, float]] = []

    def on_stage(self, stage: str, began_at: float, ended_at: float) -> None:
        self.stages.append((stage, began_at, ended_at))

    def within(self, began_at: float, ended_at: float) -> bool:
        return all(began_at <= began <= ended <= ended_at for _, began, ended in self.stages)

    def seconds(self, stage: str) -> float:
        return sum(ended - began for name, began, ended in self.stages if name == stage)


def test_each_stage_is_told_once_and_one_follows_the_other(
    engine: Engine, make_request: RequestMaker
) -> None:
    witness, asked_at = Witness(), perf_counter()

    result = engine.submit(make_request(), witness).result(30)

    stages = sorted(witness.stages, key=lambda stage: ORDER.index(stage[0]))
    assert tuple(name for name, _, _ in stages) == ORDER
    assert witness.within(asked_at, perf_counter())
    assert all(earlier[2] <= later[1] + 1e-6 for earlier, later in pairwise(stages))
    for stage in ("load", "decode", "encode"):
        assert witness.seconds(stage) == pytest.approx(result.timings_s[stage], abs=1e-6)
    # What others do in between is in the stretch, and not in what was spent.
    assert witness.seconds("denoise") >= result.timings_s["denoise"]


def test_decoding_and_encoding_are_told_for_each_image(engine: Engine, make_request: RequestMaker) -> None:
    witness = Witness()

    engine.submit(make_request(n=3), witness).result(30)

    assert Counter(name for name, _, _ in witness.stages) == {
        **dict.fromkeys(ORDER, 1),
        "decode": 3,
        "encode": 3,
    }


def test_a_stopped_request_tells_how_far_it_came(engine: Engine, make_request: RequestMaker) -> None:
    witness = Witness(stop_after=2)

    with pytest.raises(AttemptCancelled):
        engine.submit(make_request(), witness).result(30)

    assert [name for name, _, _ in witness.stages] == ["queue", "load", "denoise"]


# Of numpy about torch's tensors, raised by this pipeline's scheduler.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_pipeline_that_runs_whole_tells_them_for_each_image(tmp_path: Path) -> None:
    needs = save_pixart(tmp_path / "weights")
    entry = {"transparent": False, "negative_prompt": False, "weights": "weights", **needs}
    catalogue = Catalogue.load(write_catalogue(tmp_path, other=entry))
    engine, witness = engine_of(catalogue), Witness()
    engine.start()

    request = image_request(Params(prompt="black swan", seed=3, n=2, width=64, height=64), catalogue.specs[0])
    result = engine.submit(request, witness).result(30)
    engine.close()

    assert Counter(name for name, _, _ in witness.stages) == {
        "queue": 1,
        "load": 1,
        "denoise": 2,
        "decode": 2,
        "encode": 2,
    }
    assert witness.seconds("denoise") == pytest.approx(result.timings_s["denoise"], abs=1e-6)
