"""What a worker holds: how far each attempt is, and which was told to stop."""

from prometheus_client import REGISTRY

from worker.attempt import Attempt
from worker.engine.request import SpoiltWatcher
from worker.ledger import HANDED_BACK, MADE_WAY, Ledger
from worker.metrics import expect_models


def attempt(job_id: str, token: str = "", *, low: bool = False) -> Attempt:
    return Attempt(job_id, token or f"token of {job_id}", 1, "{}", 0, "req", 0, low=low)


def test_an_attempt_is_held_until_it_is_struck_out() -> None:
    ledger = Ledger()
    first, second = ledger.add(attempt("a")), ledger.add(attempt("b"))
    assert len(ledger) == 2

    ledger.remove(first.attempt)
    ledger.remove(first.attempt)

    assert ledger.all() == [second]


def test_images_that_are_no_pictures_are_counted_by_what_became_of_them() -> None:
    held, model = Ledger().add(attempt("a")), "a model of this test"

    def counted() -> dict[str, float | None]:
        labels = ({"model": model, "outcome": outcome} for outcome in ("mended", "failed"))
        found = (REGISTRY.get_sample_value("darkroom_worker_no_numbers_total", each) for each in labels)
        return dict(zip(("mended", "failed"), found, strict=True))

    expect_models([model])
    assert counted() == {"mended": 0, "failed": 0}
    held.on_no_numbers(model, mended=True)
    held.on_no_numbers(model, mended=False)
    held.on_no_numbers(model, mended=False)

    assert counted() == {"mended": 1, "failed": 2}
    assert isinstance(held, SpoiltWatcher)


def test_a_step_is_news_once() -> None:
    held = Ledger().add(attempt("a", "t"))
    assert held.news() is None

    held.on_step(1, 4)
    held.on_step(2, 4)

    assert held.news() == ("a", "t", 2, 4)
    assert held.news() is None
    held.on_step(3, 4)
    assert held.news() == ("a", "t", 3, 4)


def test_a_lost_attempt_is_told_to_stop_once_and_keeps_its_reason() -> None:
    ledger = Ledger()
    lost, kept = ledger.add(attempt("a")), ledger.add(attempt("b"))

    assert ledger.lose({"a": "cancelled", "c": "gone"}) == [lost]
    assert ledger.lose({"a": "moved"}) == []

    assert (lost.stop_requested(), lost.stop_reason) == (True, "cancelled")
    assert (kept.stop_requested(), kept.stop_reason) == (False, None)


def test_handing_back_stops_everything_that_was_not_stopped_already() -> None:
    ledger = Ledger()
    lost, kept = ledger.add(attempt("a")), ledger.add(attempt("b"))
    ledger.lose({"a": "cancelled"})

    ledger.hand_back()

    assert (lost.stop_reason, kept.stop_reason) == ("cancelled", HANDED_BACK)


def test_two_attempts_of_one_job_are_two() -> None:
    ledger = Ledger()
    old, new = ledger.add(attempt("a", "1")), ledger.add(attempt("a", "2"))

    ledger.remove(old.attempt)

    assert ledger.all() == [new]


def test_attempts_share_the_workers_time_and_their_shares_add_up_to_it() -> None:
    now = [100.0]
    ledger = Ledger(clock=lambda: now[0])
    now[0] += 5  # idle: nobody's time
    first = ledger.add(attempt("a"))
    now[0] += 2
    second = ledger.add(attempt("b"))
    now[0] += 4

    assert ledger.share_s(first) == 4.0  # two seconds alone, and half of four
    first_s = ledger.share_s(first)
    ledger.remove(first.attempt)
    now[0] += 3

    assert ledger.share_s(second) == 5.0
    assert first_s + ledger.share_s(second) == 9.0


def test_low_attempts_have_only_the_time_in_which_there_is_no_other() -> None:
    now = [100.0]
    ledger = Ledger(clock=lambda: now[0])
    low = ledger.add(attempt("a", low=True))
    now[0] += 2
    other = ledger.add(attempt("b"))
    now[0] += 4

    assert (ledger.share_s(low), ledger.share_s(other), ledger.low) == (2.0, 4.0, 1)
    ledger.remove(other.attempt)
    now[0] += 3

    assert ledger.share_s(low) == 5.0


def test_only_low_attempts_make_way() -> None:
    ledger = Ledger()
    low, lost, other = (ledger.add(attempt(name, low=name != "other")) for name in ("low", "lost", "other"))
    ledger.lose({"lost": "cancelled"})

    ledger.make_way()

    assert (low.stop_reason, lost.stop_reason, other.stop_reason) == (MADE_WAY, "cancelled", None)
