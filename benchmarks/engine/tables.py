"""What came of one workload, as a table."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from benchmarks.engine.work import Outcome

MISSING: Final = "-"

Rounds = Mapping[int, Outcome]
"""Outcomes of a contender by their round; some may be missing."""


@dataclass
class Table:
    """One workload: every contender's outcomes."""

    title: str
    requests: int
    offered: float | None = None
    """Arrivals as a multiple of B1's capacity; None where all come at once."""
    offered_per_s: float | None = None
    found: dict[str, dict[int, Outcome]] = field(default_factory=dict)

    def middle(self, name: str) -> Outcome | None:
        """Return a contender's median outcome, by images a second."""
        ranked = sorted(self.found.get(name, {}).values(), key=lambda each: each.images_per_s)
        return ranked[len(ranked) // 2] if ranked else None

    def named(self, start: str) -> Rounds:
        """Return the outcomes of the fastest contender whose name begins so."""
        names = [name for name in self.found if name.startswith(start)]
        return max((self.found[name] for name in names), key=_speed, default={})

    def written(self) -> dict[str, Any]:
        """Return it as JSON can have it."""
        return asdict(self)


Extra = Mapping[str, Callable[[Outcome], str]]
"""Further columns by their heads."""


def rendered(table: Table, extra: Extra) -> str:
    """Return a table as Markdown; ratios are medians of the rounds."""
    b0, b1, b3 = (table.named(start) for start in ("B0", "B1", "B3"))
    columns: dict[str, Callable[[Rounds, Outcome], str]] = {
        "images/s": lambda _, middle: f"{middle.images_per_s:.3f}",
        "p50 s": lambda _, middle: f"{middle.percentile_s(0.5):.3f}",
        "p95 s": lambda _, middle: f"{middle.percentile_s(0.95):.3f}",
        "÷ B0": lambda outcomes, _: ratio(outcomes, b0, lambda each: each.images_per_s),
        "÷ B1": lambda outcomes, _: ratio(outcomes, b1, lambda each: each.images_per_s),
        "÷ B3": lambda outcomes, _: ratio(outcomes, b3, lambda each: each.images_per_s),
        "p95 ÷ B1's": lambda outcomes, _: ratio(outcomes, b1, lambda each: each.percentile_s(0.95)),
        **{head: lambda _, middle, say=say: say(middle) for head, say in extra.items()},  # type: ignore[misc]
    }
    lines = [f"\n**{table.title}**\n", f"|  | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
    for name, outcomes in table.found.items():
        middle = table.middle(name)
        cells = [say(outcomes, middle) if middle else MISSING for say in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(ours: Rounds, theirs: Rounds, of: Callable[[Outcome], float]) -> str:
    """Return the median ratio of the rounds that both have, with its range."""
    ratios = [of(ours[index]) / of(theirs[index]) for index in ours if index in theirs]
    if not ratios:
        return MISSING
    middle = f"{statistics.median(ratios):.3f}"
    return middle if len(ratios) == 1 else f"{middle} ({min(ratios):.2f} to {max(ratios):.2f})"


def _speed(rounds: Rounds) -> float:
    return statistics.median([each.images_per_s for each in rounds.values()]) if rounds else 0.0
