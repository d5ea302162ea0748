"""What is kept of the modes of a stage: what is faster, agrees, and fits."""

import json
from collections.abc import Callable, Sequence

import pytest
import torch

from tests.unit.engine.stages.recorders import FakeRecorder
from worker.engine.stages.agreement import relative_error
from worker.engine.stages.graphs import Graphs
from worker.engine.stages.inputs import Inputs
from worker.engine.stages.modes import Mode
from worker.engine.stages.stage import Stage
from worker.engine.stages.tuner import Limits, Trial, Tuned, Tuner, powers_of_two


class Device:
    """A device whose runs take as long as it says, by a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.seconds: Callable[[int], float] = lambda images: 1.0 + 0.5 * images
        self.speed = 1.0
        self.offset = 0.0
        self.most = 1000
        self.module = torch.nn.Linear(2, 2)
        self.graphs: Graphs[torch.Tensor] = Graphs(self._forward)

    def _forward(self, inputs: Inputs) -> torch.Tensor:
        return inputs.batched["x"] * 3 + self.offset

    def run(self, images: int, first: int = 0) -> Sequence[torch.Tensor]:
        if images > self.most:
            raise torch.OutOfMemoryError
        self.now_s += self.seconds(images) / self.speed
        x = torch.arange(first + 1.0, first + 1.0 + images)[:, None]
        return [self.graphs(Inputs({"x": x}))]

    def clock(self) -> float:
        return self.now_s

    @property
    def stage(self) -> Stage:
        return Stage("denoise", self.module, self.run)

    @property
    def recordable_stage(self) -> Stage:
        return Stage("denoise", self.module, self.run, graphs=(self.graphs,))


class Planted(Mode):
    """A mode that does what it is told."""

    slow = alone = False

    def __init__(
        self,
        name: str,
        device: Device,
        *,
        speed: float = 1.0,
        offset: float = 0.0,
        exact: bool = True,
        error: Exception | None = None,
    ) -> None:
        self.name, self.exact = name, exact
        self._device, self._speed, self._offset, self._error = device, speed, offset, error
        self.applied = 0

    def applies(self, stage: Stage) -> bool:
        return stage.name == "denoise"

    def apply(self, stage: Stage) -> None:
        del stage
        self.applied += 1
        self._device.speed *= self._speed
        self._device.offset += self._offset
        if self._error is not None:
            raise self._error

    def undo(self, stage: Stage) -> None:
        del stage
        self.applied -= 1
        self._device.speed /= self._speed
        self._device.offset -= self._offset


def tuner(device: Device, *modes: Mode, ends_at: float = 1e9, slow: bool = True, **more: object) -> Tuner:
    return Tuner(modes, device.clock, limits=Limits(ends_at, slow), **more)  # type: ignore[arg-type]


def why(tuned: Tuned) -> dict[str, str]:
    return {trial.mode: trial.why for trial in tuned.trials}


def test_what_is_faster_and_agrees_is_kept_on_top_of_what_was_kept_before() -> None:
    device = Device()
    modes = [
        Planted("twice", device, speed=2),
        Planted("slower", device, speed=0.5),
        Planted("thrice", device, speed=3),
    ]

    tuned = tuner(device, *modes).tune(device.stage)

    assert tuned.modes == ("twice", "thrice")
    assert device.speed == pytest.approx(6)
    assert [mode.applied for mode in modes] == [1, 0, 1]
    assert why(tuned)["slower"] == "no faster"
    ratios = {trial.mode: trial.ratio for trial in tuned.trials}
    assert ratios["thrice"] == pytest.approx(3)


def test_what_gains_less_than_noise_is_left_out() -> None:
    device = Device()

    assert tuner(device, Planted("hardly", device, speed=1.01)).tune(device.stage).modes == ()


@pytest.mark.parametrize("offset", [0.1, float("nan"), float("inf")])
def test_what_disagrees_is_left_out_however_fast(offset: float) -> None:
    device = Device()
    mode = Planted("wrong", device, speed=100, offset=offset)
    device.graphs = Graphs(lambda inputs: inputs.batched["x"] * 3 + (offset if mode.applied else 0))

    tuned = tuner(device, mode).tune(device.stage)

    assert tuned.modes == ()
    assert why(tuned)["wrong"].startswith("disagrees")
    assert mode.applied == 0


def test_other_arithmetic_may_err_as_much_as_the_precision_itself() -> None:
    device = Device()
    stage = Stage("denoise", device.module, device.run, exact=lambda: [torch.tensor([[3.03]])])
    within = Planted("within", device, speed=2, offset=0.02, exact=False)
    beyond = Planted("beyond", device, speed=2, offset=0.06, exact=False)
    exact = Planted("exact", device, speed=2, offset=0.02)

    tuned = tuner(device, beyond, exact, within).tune(stage)

    assert tuned.modes == ("within",)


def test_what_was_kept_may_have_erred_already() -> None:
    device = Device()
    stage = Stage("denoise", device.module, device.run, exact=lambda: [torch.tensor([[3.03]])])
    other = Planted("other arithmetic", device, speed=2, offset=0.02, exact=False)

    tuned = tuner(device, other, Planted("on top of it", device, speed=2)).tune(stage)

    assert tuned.modes == ("other arithmetic", "on top of it")


@pytest.mark.parametrize(
    ("error", "told"), [(RuntimeError("no"), "RuntimeError"), (torch.OutOfMemoryError(), "out of memory")]
)
def test_what_raises_is_undone_and_named_and_the_next_is_tried(error: Exception, told: str) -> None:
    device, released = Device(), list[str]()
    broken, fine = Planted("broken", device, speed=9, error=error), Planted("fine", device, speed=2)

    tuned = tuner(device, broken, fine, release=lambda: released.append("memory")).tune(device.stage)

    assert tuned.modes == ("fine",)
    assert device.speed == pytest.approx(2)
    assert why(tuned)["broken"] == told
    assert len(released) == (told == "out of memory")


def test_when_the_time_is_over_no_mode_is_begun() -> None:
    device = Device()
    modes = [Planted("first", device, speed=2), Planted("second", device, speed=2)]

    plain_s = tuner(device).tune(device.stage) and device.now_s
    tuned = tuner(device, *modes, ends_at=device.now_s + plain_s + 1).tune(device.stage)

    assert tuned.modes == ("first",)
    assert why(tuned)["second"] == "the time was over"


def test_what_takes_long_is_only_tried_when_it_may() -> None:
    device = Device()
    mode = Planted("compile", device, speed=2)
    mode.slow = True

    assert tuner(device, mode, slow=False).tune(device.stage).modes == ()
    assert tuner(device, mode, slow=True).tune(device.stage).modes == ("compile",)


@pytest.mark.parametrize(("most", "images"), [(1000, 16), (8, 8), (1, 1)])
def test_the_batch_is_doubled_while_that_pays_and_fits(most: int, images: int) -> None:
    device = Device()
    device.seconds = lambda images: max(1.0, images / 16)
    device.most = most

    assert tuner(device).tune(device.stage).images == images


def test_runs_are_recorded_at_last_and_compared_on_other_images() -> None:
    device, recorder = Device(), FakeRecorder()
    device.seconds = lambda _: 1.0 if device.graphs.is_on else 2.0

    tuned = tuner(device, recorder=recorder).tune(device.recordable_stage)

    assert tuned.modes == ("graph",)
    assert tuned.images == 32
    assert len(recorder.recorded) == 6


def test_a_recording_of_numbers_instead_of_a_run_disagrees() -> None:
    device, recorder = Device(), FakeRecorder()
    device.seconds = lambda _: 1.0 if device.graphs.is_on else 2.0
    frozen = torch.full((32, 1), 5.0)

    def forward(inputs: Inputs) -> torch.Tensor:
        return frozen[: inputs.entries] if device.graphs.is_on else inputs.batched["x"]

    device.graphs = Graphs(forward)

    tuned = tuner(device, recorder=recorder).tune(device.recordable_stage)

    assert tuned.modes == ()
    assert why(tuned)["graph"].startswith("disagrees")
    assert not device.graphs.is_on


def test_every_trial_is_told_as_it_ends() -> None:
    device, told = Device(), list[Trial]()

    tuned = tuner(device, Planted("twice", device, speed=2), tell=told.append).tune(device.stage)

    assert tuple(told) == tuned.trials
    assert [trial.mode for trial in told] == ["plain", "twice"]


def test_what_was_kept_is_applied_again_in_its_order() -> None:
    device, recorder = Device(), FakeRecorder()
    modes = [Planted("twice", device, speed=2), Planted("thrice", device, speed=3)]
    kept = Tuned(("thrice", "graph"), 4, ())

    tuner(device, *modes, recorder=recorder).apply(device.recordable_stage, kept)

    assert [mode.applied for mode in modes] == [0, 1]
    assert len(recorder.recorded) == 3


def test_what_cannot_be_applied_again_leaves_the_stage_plain() -> None:
    device, recorder = Device(), FakeRecorder()
    twice, broken = Planted("twice", device, speed=2), Planted("broken", device, speed=3, error=OSError())
    kept = Tuned(("twice", "broken"), 4, ())

    with pytest.raises(OSError):  # noqa: PT011 - the planted one
        tuner(device, twice, broken, recorder=recorder).apply(device.recordable_stage, kept)
    with pytest.raises(KeyError, match="of another version"):
        tuner(device, twice).apply(device.stage, Tuned(("twice", "of another version"), 4, ()))

    assert device.speed == pytest.approx(1)
    assert [twice.applied, broken.applied] == [0, 0]


def test_it_is_known_before_how_many_trials_there_will_be() -> None:
    device, recorder, told = Device(), FakeRecorder(), list[Trial]()
    slow = Planted("slow", device)
    slow.slow = True
    modes = [Planted("wrong", device, speed=9, offset=1), slow, Planted("broken", device, error=OSError())]
    trying = tuner(device, *modes, slow=False, recorder=recorder, tell=told.append)

    planned = trying.planned(device.recordable_stage)
    trying.tune(device.recordable_stage)

    assert planned == ("plain", "wrong", "slow", "broken", "graph")
    assert tuple(trial.mode for trial in told) == planned


def test_a_trial_is_written_as_any_reader_of_json_can_read_it() -> None:
    infinite = Trial("decode", "wrong", error=float("inf"), ratio=float("nan"), ms=2.5)

    written = infinite.written()

    assert (written["error"], written["ratio"], written["ms"]) == (None, None, 2.5)
    assert json.loads(json.dumps(written, allow_nan=False)) == written


def test_errors_are_relative_and_what_cannot_be_compared_is_infinitely_wrong() -> None:
    one = torch.tensor([3.0, 4.0])

    assert relative_error([one], [one.clone()]) == 0
    assert relative_error([one + torch.tensor([0.0, 0.05])], [one]) == pytest.approx(0.01, rel=1e-4)
    assert relative_error([one, one * 2], [one, one]) == 1
    assert relative_error([one[:1]], [one]) == float("inf")
    assert relative_error([one], [one, one]) == float("inf")


@pytest.mark.parametrize(("most", "counts"), [(1, (1,)), (4, (1, 2, 4)), (6, (1, 2, 4, 6))])
def test_counts_are_powers_of_two_and_the_most(most: int, counts: tuple[int, ...]) -> None:
    assert powers_of_two(most) == counts


def test_a_mode_for_one_image_at_a_time_is_compared_with_several_together() -> None:
    device = Device()
    alone = Planted("alone", device, speed=2)
    alone.alone = True
    device.seconds = lambda images: 1.0 + 0.1 * images
    asked = list[int]()
    counted = device.run

    def run(images: int, first: int = 0) -> Sequence[torch.Tensor]:
        if alone.applied:
            asked.append(images)
        return counted(images, first)

    tuned = tuner(device, alone).tune(Stage("denoise", device.module, run))

    assert set(asked) == {1}
    assert tuned.modes == ()
    assert why(tuned)["alone"] == "no faster"


def test_a_mode_for_one_image_at_a_time_leaves_no_batches_and_one_recording() -> None:
    device, recorder = Device(), FakeRecorder()
    alone = Planted("alone", device, speed=50)
    alone.alone = True
    device.seconds = lambda images: (1.0 + 0.1 * images) / (2 if device.graphs.is_on else 1)

    tuned = tuner(device, alone, recorder=recorder).tune(device.recordable_stage)

    assert tuned.modes == ("alone", "graph")
    assert tuned.images == 1
    assert len(recorder.recorded) == 1


def test_modes_that_were_kept_are_compiled_for_one_and_for_several() -> None:
    device = Device()
    mode, asked = Planted("twice", device, speed=2), list[int]()

    def run(images: int, first: int = 0) -> Sequence[torch.Tensor]:
        asked.append(images)
        return device.run(images, first)

    tuner(device, mode).apply(Stage("denoise", device.module, run), Tuned(("twice",), 1, ()))

    assert asked == [1, 2]


def test_one_slow_run_by_chance_does_not_end_the_search_for_the_best_batch() -> None:
    device, unlucky = Device(), [4]
    device.seconds = lambda images: 0.01 * max(1.0, images / 16) * (3 if images in unlucky else 1)

    assert tuner(device).tune(device.stage).images == 16
