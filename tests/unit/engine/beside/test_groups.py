"""What waits together goes through together; nobody bears another's fault."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest
import torch

from worker.engine.beside.groups import Kind, Sizes, Waiting, alone, do, take
from worker.engine.beside.streams import Beside, Between, OtherThread
from worker.engine.timed import Timed

TIMEOUT_S = 20


class Log:
    """Doubles numbers, and remembers which went together."""

    def __init__(self) -> None:
        self.together: list[list[int]] = []
        self.fits = 1000
        self.released = 0

    def work(self, items: Sequence[int]) -> list[int]:
        self.together.append(list(items))
        if len(items) > self.fits:
            raise torch.OutOfMemoryError
        if -1 in items:
            raise ValueError
        return [2 * item for item in items]

    def release(self) -> None:
        self.released += 1

    def kind(self, key: str = "a", sizes: Sizes | None = None) -> Kind[int, int]:
        return Kind(key, self.work, sizes or Sizes(4), self.release)


@pytest.fixture
def log() -> Log:
    return Log()


def results(waiting: Sequence[Waiting[int, int]]) -> list[int]:
    return [each.future.result(TIMEOUT_S).result for each in waiting]


def test_the_first_takes_those_of_its_kind_along_as_many_as_go_together(log: Log) -> None:
    a, b = log.kind("a"), log.kind("b")
    waiting = [Waiting(kind, item) for item, kind in enumerate([a, b, a, a, a, a, b])]

    taken = [[each.item for each in take(waiting)] for _ in range(3)]

    assert taken == [[0, 2, 3, 4], [1, 6], [5]]
    assert waiting == []


def test_low_ones_go_behind_all_others_and_among_themselves(log: Log) -> None:
    low, other, last = (Kind(key, log.work, Sizes(4), low=key != "b") for key in ("a", "b", "c"))
    also = Kind("a", log.work, Sizes(4))
    waiting = [Waiting(kind, item) for item, kind in enumerate([low, last, low, other, also, other])]

    taken = [[each.item for each in take(waiting)] for _ in range(4)]

    assert taken == [[3, 5], [4], [0, 2], [1]]


def test_each_gets_its_own_result_and_the_time_of_all(log: Log) -> None:
    together = [Waiting(log.kind(), item) for item in (1, 2, 3)]

    do(together)

    assert results(together) == [2, 4, 6]
    assert log.together == [[1, 2, 3]]
    assert len({each.future.result().began_at for each in together}) == 1


def test_what_is_too_many_for_the_memory_is_tried_again_in_halves(log: Log) -> None:
    log.fits, sizes = 2, Sizes(8)
    together = [Waiting(log.kind(sizes=sizes), item) for item in range(8)]

    do(together)

    assert results(together) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert [len(each) for each in log.together] == [8, 4, 2, 2, 4, 2, 2]
    assert (sizes.of("a"), sizes.of("b")) == (2, 8)
    assert log.released == 3


def test_one_that_does_not_fit_alone_fails(log: Log) -> None:
    log.fits = 0
    waiting = Waiting(log.kind(), 1)

    do([waiting])

    assert isinstance(waiting.future.exception(), torch.OutOfMemoryError)


def test_one_that_raises_fails_alone(log: Log) -> None:
    together = [Waiting(log.kind(), item) for item in (1, -1, 3)]

    do(together)

    assert isinstance(together[1].future.exception(), ValueError)
    assert results([together[0], together[2]]) == [2, 6]
    assert log.together == [[1, -1, 3], [1], [-1], [3]]


def test_the_device_is_done_before_anybody_is_told(log: Log) -> None:
    waiting, told = Waiting(log.kind(), 1), list[bool]()

    do([waiting], lambda: told.append(waiting.future.done()))

    assert told == [False]
    assert waiting.future.done()


def test_between_the_ticks_nothing_waits(log: Log) -> None:
    beside = Between()

    futures = [beside.add(log.kind(), item) for item in (1, 2)]

    assert log.together == [[1], [2]]
    assert [future.result().result for future in futures] == [2, 4]


@pytest.fixture
def other_thread() -> Any:
    beside = OtherThread(lambda: None)
    yield beside
    beside.close()


def test_what_comes_while_the_thread_works_goes_through_together(other_thread: Beside, log: Log) -> None:
    busy, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        busy.wait(TIMEOUT_S)

    first: Future[Timed[None]] = other_thread.add(alone(wait), None)
    assert begun.wait(TIMEOUT_S)
    futures = [other_thread.add(log.kind(), item) for item in (1, 2, 3)]
    busy.set()

    assert first.result(TIMEOUT_S).result is None
    assert [future.result(TIMEOUT_S).result for future in futures] == [2, 4, 6]
    assert log.together == [[1, 2, 3]]


def test_one_that_is_alone_goes_at_once(other_thread: Beside, log: Log) -> None:
    assert other_thread.add(log.kind(), 5).result(TIMEOUT_S).result == 10
    assert log.together == [[5]]


def test_who_waits_is_woken_when_something_is_done(log: Log) -> None:
    woken = threading.Event()
    beside = OtherThread(woken.set)

    beside.add(log.kind(), 1).result(TIMEOUT_S)

    assert woken.wait(TIMEOUT_S)
    beside.close()


def test_what_was_begun_is_finished_at_the_end(log: Log) -> None:
    beside = OtherThread(lambda: None)
    futures = [beside.add(log.kind(), item) for item in range(9)]
    ahead = beside.ahead(lambda: "noise")

    beside.close()

    assert [future.result(0).result for future in futures] == [2 * item for item in range(9)]
    assert ahead.result(0) == "noise"


@pytest.mark.parametrize("beside", [Between(), OtherThread(lambda: None)], ids=["between", "other thread"])
def test_noise_that_cannot_be_drawn_fails_where_it_is_awaited(beside: Beside) -> None:
    def raising() -> None:
        raise ValueError

    assert isinstance(beside.ahead(raising).exception(TIMEOUT_S), ValueError)
    beside.close()
