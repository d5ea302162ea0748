"""Which rows share the next forward pass: buckets of alike rows, taking turns by deficit round-robin."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.engine.rows.drawing import Member


class Key(NamedTuple):
    """What rows of one forward pass have in common."""

    model: str
    width: int
    height: int
    text_class: int
    references: tuple[tuple[int, int], ...] = ()
    """Width and height in pixels of each picture that its rows look at."""

    @property
    def area_px(self) -> int:
        """Pixels of one image, and of those that it looks at."""
        return sum(width * height for width, height in ((self.width, self.height), *self.references))


@dataclass(eq=False)
class Bucket:
    """The rows of one key, first come first, and the device time it is owed."""

    key: Key
    members: list[Member] = field(default_factory=list)
    deficit: float = 0.0

    def batch(self, cap: int) -> list[Member]:
        """Return the rows of its next forward pass."""
        return self.members[:cap]

    def cost(self, batch: list[Member]) -> float:
        """Return the work of a forward pass: pixels of all entries."""
        return float(self.key.area_px * sum(len(member.row.entries) for member in batch))


class Buckets:
    """All rows of one priority that are being denoised.

    At each visit a bucket is credited in proportion to its rows, and it is served when its credit pays for a
    forward pass. So each row has the same share of the device, whatever the others' sizes, and one small
    image among many large ones is not kept waiting: a new bucket is visited first.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[Key, Bucket] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(len(bucket.members) for bucket in self._buckets.values())

    def add(self, member: Member) -> None:
        """Let a row join its bucket."""
        row = member.row
        key = Key(member.drawing.model.spec.name, row.width, row.height, row.text_class, row.references)
        if key not in self._buckets:
            self._buckets[key] = Bucket(key)
            self._buckets.move_to_end(key, last=False)
        self._buckets[key].members.append(member)

    def remove(self, member: Member) -> None:
        """Let a row leave; nothing happens where it has left before."""
        for key, bucket in list(self._buckets.items()):
            if member in bucket.members:
                bucket.members.remove(member)
                if not bucket.members:
                    del self._buckets[key]

    def next(self, cap_of: Callable[[Key], int]) -> tuple[Key, list[Member]] | None:
        """Return the rows of the next forward pass, or nothing where there are no rows.

        Args:
            cap_of: how many rows of a key fit into one pass.
        """
        if not self._buckets:
            return None
        batches = {key: bucket.batch(cap_of(key)) for key, bucket in self._buckets.items()}
        costs = {key: bucket.cost(batches[key]) for key, bucket in self._buckets.items()}
        # The cheapest row is credited its whole cost at a visit, so one round always serves somebody.
        share = min(costs[key] / len(batch) for key, batch in batches.items())
        while True:
            key, bucket = next(iter(self._buckets.items()))
            bucket.deficit += share * len(batches[key])
            self._buckets.move_to_end(key)
            if bucket.deficit >= costs[key] * (1 - 1e-9):
                bucket.deficit -= costs[key]
                return key, batches[key]


class Rows:
    """All rows that are being denoised: those of low priority keep what they have while others go on."""

    def __init__(self) -> None:
        self._others, self._low = Buckets(), Buckets()

    def add(self, member: Member) -> None:
        """Let a row join."""
        self._of(member).add(member)

    def remove(self, member: Member) -> None:
        """Let a row leave; nothing happens where it has left before."""
        self._of(member).remove(member)

    def ready(self, *, low: bool) -> int:
        """Return how many rows may take a step now; ``low``: those of low priority may."""
        return len(self._others) + (len(self._low) if low else 0)

    def next(self, cap_of: Callable[[Key], int], *, low: bool) -> tuple[Key, list[Member]] | None:
        """Return the rows of the next forward pass, or nothing where none may take a step.

        Args:
            cap_of: how many rows of a key fit into one pass.
            low: whether those of low priority may, where there are no others.
        """
        return self._others.next(cap_of) or (self._low.next(cap_of) if low else None)

    def _of(self, member: Member) -> Buckets:
        return self._low if member.drawing.low else self._others
