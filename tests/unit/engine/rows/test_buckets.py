"""Which rows share the next forward pass."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import torch

from worker.engine.rows.buckets import Buckets, Key, Rows
from worker.engine.rows.drawing import Member
from worker.engine.rows.row import Row


def member(
    width: int = 64,
    model: str = "tiny",
    text_class: int = 32,
    entries: int = 1,
    references: tuple[tuple[int, int], ...] = (),
    *,
    low: bool = False,
) -> Member:
    row = Row(
        scheduler=None,
        timesteps=torch.zeros(4),
        latents=torch.zeros(1),
        entries=({},) * entries,
        guidance=1.0,
        steps=4,
        width=width,
        height=64,
        text_class=text_class,
        references=references,
    )
    drawing: Any = SimpleNamespace(model=SimpleNamespace(spec=SimpleNamespace(name=model)), low=low)
    return Member(row, drawing)


def filled(*members: Member) -> Buckets:
    buckets = Buckets()
    for each in members:
        buckets.add(each)
    return buckets


def turns(buckets: Buckets, number: int, cap: int = 8) -> list[tuple[Key, list[Member]]]:
    found = [buckets.next(lambda _: cap) for _ in range(number)]
    return [turn for turn in found if turn is not None]


def test_nothing_is_next_where_there_are_no_rows() -> None:
    assert Buckets().next(lambda _: 8) is None


def test_only_rows_of_one_model_size_and_text_length_share_a_pass() -> None:
    alike = [member(), member(entries=2)]
    others = [member(width=128), member(model="other"), member(text_class=64)]

    batches = {tuple(batch) for _, batch in turns(filled(*alike, *others), 20)}

    assert batches == {tuple(alike), *((other,) for other in others)}


def test_rows_that_look_at_pictures_share_a_pass_with_those_that_look_at_such() -> None:
    sizes = [((64, 48),), ((64, 48), (64, 64)), ((64, 64), (64, 48)), ()]
    pairs = [[member(references=each), member(references=each)] for each in sizes]

    batches = {tuple(batch) for _, batch in turns(filled(*(row for pair in pairs for row in pair)), 20)}

    assert batches == {tuple(pair) for pair in pairs}


def test_what_they_look_at_counts_as_much_as_what_they_draw() -> None:
    plain, looking = member(), member(references=((64, 64), (128, 64)))

    served = Counter(batch[0] for _, batch in turns(filled(plain, looking), 50))

    assert Key("tiny", 64, 64, 32, looking.row.references).area_px == 4 * Key("tiny", 64, 64, 32).area_px
    assert served[plain] == 4 * served[looking]


def test_a_pass_takes_the_first_rows_up_to_the_cap() -> None:
    rows = [member() for _ in range(5)]

    ((key, batch),) = turns(filled(*rows), 1, cap=3)

    assert batch == rows[:3]
    assert key == Key("tiny", 64, 64, 32)


def test_a_row_that_left_is_not_in_the_next_pass() -> None:
    first, second = member(), member()
    buckets = filled(first, second)

    buckets.remove(first)
    buckets.remove(first)

    assert [batch for _, batch in turns(buckets, 2)] == [[second], [second]]
    buckets.remove(second)
    assert len(buckets) == 0
    assert buckets.next(lambda _: 8) is None


def test_each_row_gets_the_same_share_of_the_device() -> None:
    buckets = filled(member(width=64), *(member(width=256) for _ in range(4)))

    ticks = Counter(key.width for key, _ in turns(buckets, 500))

    # A pass of the large ones takes 16 times as long as one of the small one, and advances four rows.
    assert ticks[64] / ticks[256] == 4


def test_guided_rows_cost_twice_as_much() -> None:
    buckets = filled(member(width=64), member(width=128, entries=2))

    ticks = Counter(key.width for key, _ in turns(buckets, 500))

    assert ticks[64] / ticks[128] == 4


def test_a_small_image_among_many_large_ones_waits_for_no_more_than_the_pass_that_runs() -> None:
    buckets = filled(*(member(width=256) for _ in range(8)), member(width=192))
    turns(buckets, 20)
    small = member(width=64)

    buckets.add(small)

    ((_, batch),) = turns(buckets, 1)
    assert batch == [small]


def test_low_rows_share_no_pass_and_have_their_turn_when_there_are_no_others() -> None:
    low, others = [member(low=True), member(low=True)], [member(), member(width=128)]
    rows = Rows()
    for each in (*low, *others):
        rows.add(each)

    for _ in range(6):
        turn = rows.next(lambda _: 8, low=True)
        assert turn is not None
        assert turn[1][0] in others
    assert (rows.ready(low=True), rows.ready(low=False)) == (4, 2)
    for each in others:
        rows.remove(each)

    turn = rows.next(lambda _: 8, low=True)
    assert turn is not None
    assert turn[1] == low


def test_low_rows_have_no_turn_where_they_are_not_to() -> None:
    rows = Rows()
    rows.add(member(low=True))

    assert rows.next(lambda _: 8, low=False) is None
    assert rows.ready(low=False) == 0
