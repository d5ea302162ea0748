"""A slice of the soak: every kind of call, and nothing left. The hour: ``python -m benchmarks.soak``."""

from pathlib import Path

import pytest

from benchmarks.soak.run import Traffic, run

pytestmark = pytest.mark.slow

SLICE = Traffic(seconds=3, callers=4, owners=2, seed=7, record_ttl_s=1, result_ttl_s=1, deadline_s=5)


@pytest.mark.timeout(120)
def test_mixed_traffic_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    soak = run(tmp_path, SLICE, processes=2, workers=1)

    assert not soak.problems
    assert len(soak.heard.samples) > 10
    assert {sample.way for sample in soak.heard.samples} > {"held", "followed"}
