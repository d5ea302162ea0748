"""Previews: when they are due, what they show, and that nothing else changes for them."""

from typing import Any

import pytest
import torch

from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of
from tests.unit.engine.rows.test_families import LONG, TOLERANCE, every_family
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.previews import Previews, preview_steps
from worker.engine.rows.row import Row

# Of numpy about torch's tensors, raised by some schedulers.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize(
    ("steps", "count", "expected"),
    [
        (20, 3, (5, 10, 15)),
        (20, 1, (10,)),
        (4, 3, (1, 2, 3)),
        (3, 3, (1, 2)),
        (2, 3, (1,)),
        (1, 3, ()),
        (20, 0, ()),
    ],
)
def test_they_are_evenly_spaced_and_never_more_than_one_a_step(
    steps: int, count: int, expected: tuple[int, ...]
) -> None:
    assert preview_steps(steps, count) == expected


def draw_with_previews(
    family: RowFamily, rows: list[Row], count: int
) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
    """The rows' images drawn in one bucket, and the previews of each, which arrive at once."""
    previews = [Previews(preview_steps(row.steps, count)) for row in rows]
    shown: list[list[torch.Tensor]] = [[] for _ in rows]
    while not all(row.is_done for row in rows):
        active = [index for index, row in enumerate(rows) if not row.is_done]
        predictions = family.predict([rows[index] for index in active])
        for index, prediction in zip(active, predictions, strict=True):
            previews[index].look(rows[index], prediction)
            family.advance(rows[index], prediction)
            if (shot := previews[index].start()) is not None:
                assert shot.partial == len(shown[index])
                shown[index].append(family.decode(rows[index], shot.latents))
                previews[index].arrive()
    return [family.decode(row) for row in rows], shown


@every_family
def test_the_image_is_the_same_with_and_without_them(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    call = call_of(family.model, "black swan", 6, 3.0)

    (without,), _ = draw_with_previews(family, [family.prepare(call, 1)], 0)
    (image,), ((*previews,),) = draw_with_previews(family, [family.prepare(call, 1)], 3)

    assert torch.equal(image, without)
    assert [preview.shape for preview in previews] == [image.shape] * 3


@every_family
def test_those_of_a_row_do_not_depend_on_its_neighbours(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    choices: list[tuple[str, int, float]] = [("black swan", 6, 5.0), (LONG, 8, 0.0), ("cat", 5, 2.5)]
    calls = [call_of(family.model, *choice) for choice in choices]
    alone = [
        draw_with_previews(family, [family.prepare(call, seed)], 3)[1][0] for seed, call in enumerate(calls)
    ]

    rows = [family.prepare(call, seed) for seed, call in enumerate(calls)]
    _, together = draw_with_previews(family, rows, 3)

    for previews, expected in zip(together, alone, strict=True):
        assert len(previews) == 3
        for preview, other in zip(previews, expected, strict=True):
            assert (preview - other).abs().max() <= TOLERANCE


class Ticks:
    """A row that is only counted, of a scheduler that tells what it is given."""

    def __init__(self, steps: int, ticks: int) -> None:
        scheduler: Any = type("FlowMatchEulerDiscreteScheduler", (), {})()
        scheduler.config, scheduler.sigmas = {}, torch.linspace(1, 0, ticks + 1)
        self.row = Row(scheduler, torch.arange(ticks), torch.zeros(1), ({},), 1.0, steps, 64, 64, 0)

    def go(self, previews: Previews) -> int | None:
        """Take one tick, and return which preview it brings."""
        previews.look(self.row, torch.ones(1))
        self.row.ticked += 1
        shot = previews.start()
        return shot and shot.partial


def test_the_next_waits_until_the_last_has_arrived_and_what_is_overtaken_is_left_out() -> None:
    ticks, previews = Ticks(10, 10), Previews((2, 4, 6))

    assert [ticks.go(previews) for _ in range(7)] == [None, 0, None, None, None, None, None]
    previews.arrive()
    assert [ticks.go(previews) for _ in range(3)] == [2, None, None]


def test_none_is_taken_at_the_last_tick() -> None:
    ticks, previews = Ticks(4, 4), Previews((1, 3))

    ticks.go(previews)
    ticks.go(previews)
    ticks.go(previews)
    previews.arrive()

    assert ticks.go(previews) is None


def test_what_cannot_be_worked_out_hurts_nothing() -> None:
    ticks, previews = Ticks(4, 4), Previews((1,))
    del ticks.row.scheduler.sigmas

    assert [ticks.go(previews) for _ in range(4)] == [None] * 4
