"""The page about reliability says what the tests measured."""

import json
import re
from collections import Counter
from pathlib import Path

from tests.faults.chaos import Outcome, keep
from tests.faults.report import render
from tests.faults.rows import ROWS
from tests.faults.times import Time

HERE = Path(__file__).parent
NAMES = {measured.name for row in ROWS for measured in row.measured}


def test_every_recorded_name_is_in_the_table_and_the_other_way_round() -> None:
    recorded = {
        name
        for path in HERE.glob("test_*.py")
        for name in re.findall(r'times\.(?:record|held)\(\s*"([a-z-]+)"', path.read_text())
    }

    assert recorded == NAMES


def test_the_median_and_the_worst_time_are_shown_beside_the_bound() -> None:
    page = render([Time("worker-killed", seconds, 6) for seconds in (4.0, 5.5, 4.5)])

    assert "| starts again elsewhere | 6 s | 4.50 s | 5.50 s | 3 |" in page


def test_runs_of_chaos_are_a_table_of_their_own() -> None:
    run = {"seed": 7, "seconds": 600.0, "workers": 4, "faults": {"reset": 2, "kill_api": 1}, "accepted": 50}
    ended = {"statuses": {"succeeded": 40, "failed": 2, "cancelled": 8}, "problems": ["a leaked lease"]}

    assert "| 7 | 600 s | 4 | 3 | 50 | 40 / 8 / 2 | 1 |" in render([], [{**run, **ended}])
    assert "## Everything at random" not in render([])


def test_what_is_kept_of_a_run_of_chaos_can_be_told(tmp_path: Path) -> None:
    outcome = Outcome(
        seed=7,
        seconds=600,
        faults={"reset": 2},
        answers=Counter({"200": 45}),
        statuses=Counter({"succeeded": 40, "failed": 2, "cancelled": 8}),
        accepted=50,
        settled_s=0.1,
    )
    keep(outcome, 4, tmp_path / "runs.jsonl")

    (kept,) = map(json.loads, (tmp_path / "runs.jsonl").read_text().splitlines())

    assert "| 7 | 600 s | 4 | 2 | 50 | 40 / 8 / 2 | 0 |" in render([], [kept])


def test_a_row_that_was_not_run_says_so() -> None:
    assert "not run" in render([])
