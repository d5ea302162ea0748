"""What a piece of work brought, and when it was done."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """A result with the instants, by ``perf_counter``, between which it was worked out."""

    result: T
    began_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended_at - self.began_at


def timed(work: Callable[[], T]) -> Timed[T]:
    """Do some work now and return what it brings."""
    began_at = perf_counter()
    result = work()
    return Timed(result, began_at, perf_counter())
