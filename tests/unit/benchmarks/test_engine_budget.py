"""A budget holds: what does not fit is cut off and named."""

import signal
import time

import pytest

from benchmarks.engine.budget import OVER, Budget, OutOfTime, within
from tests.waiting import wait_until


def for_ever() -> None:
    wait_until(lambda: False, timeout_s=30)


def test_what_takes_too_long_is_cut_off_and_named() -> None:
    budget, began_at = Budget(0.2), time.monotonic()

    assert budget.attempt("first", lambda: 1) == 1
    assert budget.attempt("long", for_ever) is None
    assert budget.attempt("last", lambda: 1) is None
    assert time.monotonic() - began_at < 5
    assert budget.missed == {"long": OVER, "last": OVER}
    assert budget.failed == []


def test_a_part_ends_before_the_whole_and_names_what_it_missed_there() -> None:
    budget = Budget(30)

    assert budget.part(0.1).attempt("part", for_ever) is None
    assert budget.attempt("rest", lambda: 1) == 1
    assert budget.missed == {"part": OVER}
    assert budget.part(100).left_s <= 30


def test_what_fails_is_named_and_does_not_end_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    budget = Budget(30)

    def fail() -> None:
        message = "it broke\nin two lines"
        raise ValueError(message)

    assert budget.attempt("broken", fail) is None
    assert budget.survive("also broken", fail) is None
    assert budget.attempt("rest", lambda: 1) == 1
    assert budget.part(1).survive("in a part", fail) is None
    assert budget.missed == dict.fromkeys(["broken", "also broken", "in a part"], "ValueError: it broke")
    assert budget.failed == list(budget.missed)
    assert "in two lines" in capsys.readouterr().err


def test_an_alarm_within_an_alarm_leaves_the_outer_one_set() -> None:
    before = signal.getitimer(signal.ITIMER_REAL)
    cut_off = []

    def inner() -> None:
        with within(0.05):
            for_ever()

    def outer() -> None:
        with within(0.3):
            with pytest.raises(OutOfTime):
                inner()
            cut_off.append("inner")
            for_ever()

    with pytest.raises(OutOfTime):
        outer()
    assert cut_off == ["inner"]

    after = signal.getitimer(signal.ITIMER_REAL)
    assert (before[0] > 0) == (after[0] > 0)
