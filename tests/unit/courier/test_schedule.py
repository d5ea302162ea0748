"""When a delivery that failed is tried again."""

import pytest

from courier.schedule import pause_s
from shared.settings import WebhookSettings

SETTINGS = WebhookSettings()


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_pauses_grow_twofold_from_seconds_to_hours() -> None:
    pauses = [pause_s(tries, None, SETTINGS, middle) for tries in range(1, 16)]

    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[11:] == [10_240, 14_400, 14_400, 14_400]


def test_in_a_day_it_is_tried_some_seventeen_times() -> None:
    at, tries = 0.0, 1
    while (at := at + pause_s(tries, None, SETTINGS, middle)) <= SETTINGS.give_up_s:
        tries += 1

    assert tries == 17


def test_a_fifth_of_a_pause_is_chance() -> None:
    pauses = {pause_s(3, None, SETTINGS) for _ in range(200)}

    assert len(pauses) > 100
    assert min(pauses) >= 16
    assert max(pauses) <= 24


@pytest.mark.parametrize(("asked_s", "granted_s"), [(1, 5), (60, 60), (10**9, 14_400)])
def test_what_the_receiver_asks_for_is_granted_within_bounds(asked_s: float, granted_s: float) -> None:
    assert pause_s(1, asked_s, SETTINGS, middle) == granted_s


def test_a_number_of_tries_that_nobody_reaches_is_a_pause_too() -> None:
    assert pause_s(10_000, None, SETTINGS, middle) == SETTINGS.longest_pause_s
