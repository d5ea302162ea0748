"""Recorded runs equal plain ones, at whatever number of entries."""

import pytest
import torch

from tests.unit.engine.stages.recorders import FakeRecorder
from worker.engine.stages.graphs import Graphs
from worker.engine.stages.inputs import Inputs
from worker.engine.stages.recordable import Recordable

COUNTS = (1, 2, 4)


def inputs(*numbers: float, width: int = 3, place: float = 0.5) -> Inputs:
    batched = {"x": torch.tensor(numbers, dtype=torch.float32)[:, None].expand(-1, width).clone()}
    return Inputs(batched, {"place": torch.full((width,), place), "scale": 2})


def run(given: Inputs) -> torch.Tensor:
    return given.batched["x"] * given.shared["scale"] + given.shared["place"]


@pytest.fixture
def recorder() -> FakeRecorder:
    return FakeRecorder()


@pytest.fixture
def graphs(recorder: FakeRecorder) -> Graphs[torch.Tensor]:
    made = Graphs(run)
    made.turn_on(recorder, COUNTS)
    with made.recording():
        for count in reversed(COUNTS):
            made(inputs(*range(7, 7 + count)))
    return made


def test_without_a_recorder_a_run_is_a_run() -> None:
    assert Graphs(run)(inputs(1, 2)).tolist() == run(inputs(1, 2)).tolist()


@pytest.mark.parametrize("entries", [1, 2, 3, 4])
def test_a_recording_gives_what_the_run_gives_padded_or_not(
    graphs: Graphs[torch.Tensor], recorder: FakeRecorder, entries: int
) -> None:
    given = inputs(*(3.0 * i for i in range(entries)), place=0.25)
    before = sum(each.played for each in recorder.recorded)

    found = graphs(given)

    assert torch.equal(found, run(given))
    assert sum(each.played for each in recorder.recorded) == before + 1


def test_more_entries_than_any_recording_has_are_run_as_they_are(
    graphs: Graphs[torch.Tensor], recorder: FakeRecorder
) -> None:
    played = sum(each.played for each in recorder.recorded)

    assert torch.equal(graphs(inputs(*range(5))), run(inputs(*range(5))))

    assert sum(each.played for each in recorder.recorded) == played
    assert graphs.wanted(1) is None


def test_another_shape_is_run_and_remembered_until_it_is_recorded(graphs: Graphs[torch.Tensor]) -> None:
    given = inputs(1, 2, 3, width=5)
    for _ in range(3):
        assert torch.equal(graphs(given), run(given))

    wanted = graphs.wanted(3)

    assert wanted is not None
    assert wanted[1] == 4
    graphs.record(*wanted)
    assert graphs.wanted(1) is None
    other = inputs(9, 8, 7, width=5)
    assert torch.equal(graphs(other), run(other))


def test_what_cannot_be_recorded_is_run_and_not_tried_again(
    graphs: Graphs[torch.Tensor], recorder: FakeRecorder
) -> None:
    given = inputs(1, width=6)
    graphs(given)
    recorder.refusing = RuntimeError("it waits for the device")

    wanted = graphs.wanted(1)
    assert wanted is not None
    with pytest.raises(RuntimeError):
        graphs.record(*wanted)

    assert torch.equal(graphs(given), run(given))
    assert graphs.wanted(1) is None


def test_plain_values_are_part_of_the_shape(graphs: Graphs[torch.Tensor]) -> None:
    given = Inputs(inputs(1).batched, {**inputs(1).shared, "scale": 3})

    assert torch.equal(graphs(given), run(given))


def test_turned_off_nothing_is_played(graphs: Graphs[torch.Tensor], recorder: FakeRecorder) -> None:
    graphs.turn_off()
    played = sum(each.played for each in recorder.recorded)

    assert torch.equal(graphs(inputs(4)), run(inputs(4)))

    assert sum(each.played for each in recorder.recorded) == played


def test_shapes_beyond_the_room_are_forgotten(recorder: FakeRecorder) -> None:
    graphs = Graphs(run, room=2)
    graphs.turn_on(recorder, COUNTS)
    with graphs.recording():
        for width in (3, 4, 5):
            graphs(inputs(1, width=width))

    graphs(inputs(1, width=3))

    wanted = graphs.wanted(1)
    assert wanted is not None
    assert wanted[0].batched["x"].shape == (1, 3)


class Encoder(torch.nn.Module):
    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor | None = None, **options: bool
    ) -> dict[str, object]:
        states = (ids.float(), 2 * ids.float()) if options.get("all_states") else ()
        return {"last": ids.float() + (0 if mask is None else mask), "states": states}


def test_a_module_is_recorded_wherever_it_is_called_from(recorder: FakeRecorder) -> None:
    encoder = Encoder()
    recordable = Recordable(encoder)
    recordable.install()
    recordable.graphs.turn_on(recorder, COUNTS)
    with recordable.graphs.recording():
        encoder(torch.tensor([[1, 2], [3, 4]]), mask=torch.ones(2, 2), all_states=True)

    found = encoder(torch.tensor([[5, 6], [7, 8]]), mask=torch.zeros(2, 2), all_states=True)

    assert recorder.recorded[0].played == 2
    assert found["last"].tolist() == [[5, 6], [7, 8]]
    assert [state.tolist() for state in found["states"]] == [[[5, 6], [7, 8]], [[10, 12], [14, 16]]]
