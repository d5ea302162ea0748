"""Which waiting request begins next."""

from shared.catalogue import Wording
from worker.engine import ImageRequest
from worker.engine.rows.admission import SWAP_WAIT_S, Admission
from worker.engine.work import Work


class Nobody:
    def on_step(self, step: int, steps: int) -> None:
        pass

    def stop_requested(self) -> bool:
        return False


def work(model: str = "here", images: int = 1, *, low: bool = False) -> Work:
    request = ImageRequest(
        model=model,
        wording=Wording("", "", ""),
        negative_prompt=None,
        width=64,
        height=64,
        steps=4,
        guidance=1,
        seeds=tuple(range(images)),
        transparent=False,
        output_format="png",
        output_compression=100,
        low=low,
    )
    return Work(request, Nobody())


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def admission(*works: Work, room_rows: int = 4, clock: Clock | None = None) -> Admission:
    made = Admission(lambda each: each.request.model == "here", room_rows=room_rows, clock=clock or Clock())
    for each in works:
        made.add(each)
    return made


def test_requests_begin_in_their_order_as_long_as_there_is_room() -> None:
    first, second, third = work(), work(images=2), work(images=2)
    waiting = admission(first, second, third)

    assert [waiting.next(0), waiting.next(1), waiting.next(3)] == [first, second, None]
    assert waiting.next(2) is third
    assert len(waiting) == 0


def test_a_request_with_many_images_is_not_passed_by_those_with_few() -> None:
    many, few = work(images=4), work()
    waiting = admission(many, few)

    assert waiting.next(1) is None
    assert waiting.next(0) is many


def test_a_request_larger_than_all_room_begins_when_nothing_runs() -> None:
    large = work(images=10)

    assert admission(large).next(0) is large
    assert admission(large).next(1) is None


def test_one_that_needs_the_device_for_itself_waits_until_nothing_runs() -> None:
    alone = work("elsewhere")

    assert admission(alone).next(1) is None
    assert admission(alone).next(0) is alone


def test_others_pass_it_for_a_bounded_time_only() -> None:
    clock, alone = Clock(), work("elsewhere")
    others = [work() for _ in range(3)]
    waiting = admission(alone, *others, clock=clock)

    assert waiting.next(0) is others[0]
    clock.now_s += SWAP_WAIT_S - 0.1
    assert waiting.next(1) is others[1]
    clock.now_s += 0.2
    assert waiting.next(1) is None
    assert waiting.next(0) is alone
    assert waiting.next(0) is others[2]


def test_taking_all_leaves_nothing() -> None:
    works = [work(), work("elsewhere")]
    waiting = admission(*works)

    assert waiting.take_all() == works
    assert waiting.next(0) is None


def test_low_ones_begin_where_no_other_waits_or_runs_and_have_room_of_their_own() -> None:
    low, more, other = work(low=True, images=3), work(low=True, images=2), work(images=2)
    waiting = admission(low, more, other)

    assert waiting.next(3, 0) is None
    assert waiting.next(0, 0) is other
    assert waiting.next(2, 0) is None
    assert waiting.next(0, 0) is low
    assert waiting.next(0, 3) is None
    assert waiting.next(0, 2) is more


def test_others_are_let_in_however_many_low_ones_are_held() -> None:
    first, second = work(images=3), work(images=2)
    waiting = admission(first, second)

    assert waiting.next(0, 4) is first
    assert waiting.next(3, 4) is None
    assert waiting.next(2, 4) is second


def test_one_that_needs_the_device_for_itself_says_that_low_ones_keep_it_waiting() -> None:
    alone = work("elsewhere")
    waiting = admission(alone)

    assert waiting.next(0, 2) is None
    assert waiting.is_kept_waiting(0)
    assert not waiting.is_kept_waiting(1)
    assert waiting.next(0, 0) is alone
    assert not waiting.is_kept_waiting(0)


def test_others_that_can_join_pass_one_that_needs_the_device_while_low_ones_run() -> None:
    alone, other = work("elsewhere"), work()
    waiting = admission(alone, other)

    assert not waiting.is_kept_waiting(0)
    assert waiting.next(0, 2) is other


def test_a_low_one_that_needs_the_device_for_itself_waits_until_nothing_runs_or_waits() -> None:
    alone, other = work("elsewhere", low=True), work("elsewhere")
    waiting = admission(alone, other)

    assert [waiting.next(1, 0), waiting.next(0, 1)] == [None, None]
    assert waiting.next(0, 0) is other
    assert [waiting.next(1, 0), waiting.next(0, 1)] == [None, None]
    assert not waiting.is_kept_waiting(0)
    assert waiting.next(0, 0) is alone


def test_it_says_whether_others_wait() -> None:
    assert not admission(work(low=True)).has_others
    assert admission(work(low=True), work()).has_others
