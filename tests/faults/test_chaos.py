"""A slice of chaos; ``make chaos`` runs the ten minutes."""

from pathlib import Path

import pytest

from tests.faults import chaos

pytestmark = pytest.mark.slow

SEED = 20
SECONDS = 60
WORKERS = 3


@pytest.mark.timeout(300)
def test_a_slice_of_chaos_breaks_no_promise(tmp_path: Path) -> None:
    outcome = chaos.run(tmp_path, SEED, SECONDS, WORKERS)

    assert not outcome.problems, str(outcome)
    assert outcome.accepted > 50
    assert outcome.edits > 10
    assert outcome.lines > 20
    assert outcome.deliveries > 3
    assert len(outcome.faults) > 10
