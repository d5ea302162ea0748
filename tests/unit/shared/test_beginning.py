"""How many steps an edit takes that begins with its picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue import Catalogue, ModelSpec
from shared.catalogue.beginning import LEAST_TAKEN, MOST_SCHEDULED, scheduled, taken
from shared.params import Params, Quality
from shared.settings import REPO_ROOT

SHIPPED = Catalogue.load(REPO_ROOT / "models" / "catalog.toml")


@pytest.mark.parametrize(
    ("steps", "strength", "schedule", "takes"),
    [
        (28, 0.75, 28, 21),
        (4, 0.75, 4, 3),
        (4, 0.5, 4, 2),
        (4, 0.3, 7, 2),
        (2, 0.75, 3, 2),
        (2, 0.5, 4, 2),
        (2, 1.0, 2, 2),
        (1, 1.0, 1, 1),
        (1, 0.75, 2, 1),
        (1, 0.1, 10, 1),
        (8, 0.01, 200, 2),
        # As little as can be, of the longest schedule that there is.
        (8, 0.001, 200, 1),
        (8, 0.0, 200, 1),
    ],
)
def test_a_schedule_is_as_long_as_its_quality_says_or_leaves_enough_to_take(
    steps: int, strength: float, schedule: int, takes: int
) -> None:
    assert (scheduled(steps, strength), taken(schedule, strength)) == (schedule, takes)


@given(st.integers(1, 60), st.integers(1, MOST_SCHEDULED), st.integers(1, MOST_SCHEDULED))
def test_rounding_takes_no_step_away(steps: int, dividend: int, divisor: int) -> None:
    strength = min(1.0, dividend / divisor)

    schedule = scheduled(steps, strength)

    assert steps <= schedule <= MOST_SCHEDULED
    assert 1 <= taken(schedule, strength) <= schedule
    if schedule < MOST_SCHEDULED:
        assert int(schedule * strength) >= min(steps, LEAST_TAKEN)


@given(st.sampled_from(SHIPPED.specs), st.sampled_from(Quality), st.floats(0.05, 1.0))
def test_more_quality_never_takes_fewer_steps(spec: ModelSpec, quality: Quality, strength: float) -> None:
    edit = Params(prompt="p", seed=0, quality=quality, input_sizes=((64, 64),), strength=strength)
    best = edit.model_copy(update={"quality": Quality.HIGH})

    assert spec.steps_taken(edit) <= spec.steps_taken(best)
    assert spec.steps_taken(edit.model_copy(update={"input_sizes": ()})) == spec.steps_for(quality)
