"""Work that pays to be done together: whatever of one kind waits at the same moment goes through at once."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from worker.engine.failures import is_out_of_memory
from worker.engine.timed import Timed, timed

I = TypeVar("I")  # noqa: E741 - an item
O = TypeVar("O")  # noqa: E741 - what it brings


@dataclass(frozen=True, eq=False)
class Kind(Generic[I, O]):
    """Items that can be worked on together.

    Attributes:
        key: equal for those that can.
        work: returns what each of several items brings, in their order.
        sizes: how many go together at most.
        short_of_memory: called when some did not fit, before fewer are tried.
        low: whether they go behind all that are not; they go through among themselves.
    """

    key: Hashable
    work: Callable[[Sequence[I]], Sequence[O]]
    sizes: "Sizes"
    short_of_memory: Callable[[], object] = lambda: None
    low: bool = False


class Sizes:
    """How many items of each kind go together at most: measured, and halved where the memory was short."""

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self._lowered: dict[Hashable, int] = {}

    def of(self, key: Hashable) -> int:
        """Return how many, at least 1."""
        return max(1, min(self.most, self._lowered.get(key, self.most)))

    def halve(self, key: Hashable, items: int) -> None:
        """Note that so many were too many."""
        self._lowered[key] = max(1, items // 2)


def alone(work: Callable[[], O], *, low: bool = False) -> Kind[None, O]:
    """Return the kind of a piece of work that has no like."""
    return Kind(object(), lambda _: [work()], Sizes(), low=low)


@dataclass(frozen=True, eq=False)
class Waiting(Generic[I, O]):
    """An item and where what it brings is awaited."""

    kind: Kind[I, O]
    item: I
    future: Future[Timed[O]] = field(default_factory=Future)


def take(waiting: list[Waiting[I, O]]) -> list[Waiting[I, O]]:
    """Take those that go through next out of all that wait: the first, and others of its kind behind it.

    The first is one that is not low, if there is any.
    """
    first = next((each for each in waiting if not each.kind.low), waiting[0])
    alike = [each for each in waiting if (each.kind.key, each.kind.low) == (first.kind.key, first.kind.low)]
    taken = alike[: first.kind.sizes.of(first.kind.key)]
    waiting[:] = [each for each in waiting if each not in taken]
    return taken


def do(together: Sequence[Waiting[I, O]], settle: Callable[[], object] = lambda: None) -> None:
    """Work on items together and put what each brings on its future.

    Where the memory is short they are tried again, fewer at a time. Where something else is raised each is
    tried alone, so that only the one whose fault it is has to bear it.

    Args:
        together: items of one kind.
        settle: waits until the device has done what it was told.
    """
    kind = together[0].kind

    def work() -> Sequence[O]:
        found = kind.work([each.item for each in together])
        settle()
        return found

    try:
        found = timed(work)
    except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
        if len(together) == 1:
            together[0].future.set_exception(error)
            return
        fewer = 1
        if is_out_of_memory(error):
            kind.sizes.halve(kind.key, len(together))
            kind.short_of_memory()
            fewer = kind.sizes.of(kind.key)
        for start in range(0, len(together), fewer):
            do(together[start : start + fewer], settle)
        return
    for each, result in zip(together, found.result, strict=True):
        each.future.set_result(Timed(result, found.began_at, found.ended_at))
