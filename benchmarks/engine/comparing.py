"""The same work for every contender of a field, workload by workload, and what came of it as tables."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.engine.budget import OVER, Budget
from benchmarks.engine.contenders import Contender, StaticBatches
from benchmarks.engine.field import Field
from benchmarks.engine.tables import Table, rendered
from benchmarks.engine.work import Arrival, Outcome, at_once

LOADS = (1.2, 0.8, 0.5, 2.0)
"""Arrivals as multiples of B1's capacity, in the order in which they are measured."""


class Comparing:
    """Measures one workload after the other; what the time did not suffice for is named."""

    def __init__(self, field: Field, budget: Budget, rounds: int) -> None:
        self._field = field
        self._budget = budget
        self._rounds = rounds

    def one_at_a_time(self, size: str, count: int) -> Table:
        """One request after the other, each alone."""
        table = Table(f"{size}, one at a time", 1)
        self.compare(table, lambda: self._field.asker.uniform(1, size), count, [size])
        self.show(table, size)
        self._tell_added(table, size)
        return table

    def uniform(self, size: str, count: int) -> Table:
        """Requests of one kind, all at once."""
        table = Table(f"{size}, {count} at once", count)
        self.compare(table, lambda: self._field.asker.uniform(count, size), self._rounds, [size])
        self.show(table, size)
        self._tell_limit(table, size)
        return table

    def mixed(self, count: int) -> None:
        """Requests of all kinds, all at once and at several rates of arrival."""
        full = Table(f"mixed, {count} at once", count)
        self.compare(full, lambda: at_once(self._field.asker.mixed(count, 1.0, 1)), self._rounds)
        self.show(full)
        b1 = full.named("B1")
        if not b1:
            self._budget.missed[f"{self._field.spec.name}: mixed, arriving at random"] = (
                "the capacity of B1 was not measured"
            )
            return
        capacity = statistics.median(outcome.images_per_s for outcome in b1.values())
        for load in LOADS:
            title = f"mixed, arriving at {load:.0%} of B1's capacity"
            table = Table(title, count, load, load * capacity)
            self.compare(table, self._arriving(count, load * capacity), self._rounds)
            self.show(table)

    def _arriving(self, count: int, rate_per_s: float) -> Callable[[], Sequence[Arrival]]:
        return lambda: self._field.asker.mixed(count, rate_per_s, 2)

    def compare(
        self,
        table: Table,
        work: Callable[[], Sequence[Arrival]],
        rounds: int,
        sizes: Sequence[str] | None = None,
    ) -> None:
        """Give every contender the same work, so many times, in an order that changes.

        Args:
            table: gets the outcomes.
            work: makes what is asked in a round.
            rounds: how many.
            sizes: that are asked for; by default all.
        """
        contenders = self._field.ready(sizes or self._field.options.sizes)
        if self._budget.left_s <= 0:
            self._budget.missed[f"{self._field.spec.name}: {table.title}"] = OVER
            return
        table.found.update({contender.name: {} for contender in contenders})
        for index in range(rounds):
            arrivals = work()
            first = index % max(1, len(contenders))
            for contender in contenders[first:] + contenders[:first]:
                if _twin(contender, arrivals) is None:
                    self._run(table, contender, arrivals, index)
            for contender in contenders:
                twin = _twin(contender, arrivals)
                if twin is not None and index in table.found.get(twin.name, {}):
                    table.found[contender.name][index] = table.found[twin.name][index]

    def _run(self, table: Table, contender: Contender, arrivals: Sequence[Arrival], index: int) -> None:
        what = f"{self._field.spec.name}: {table.title}: {contender.name}, round {index + 1}"
        outcome = self._budget.attempt(what, lambda: contender.run(arrivals))
        if outcome is not None:
            table.found[contender.name][index] = outcome

    def show(self, table: Table, size: str | None = None) -> None:
        """Print and keep a table; the shares of the peak where all requests are of one size."""
        if not any(table.found.values()):
            return
        self._field.results.add("tables", table.written())
        print(rendered(table, self._extra(size)), flush=True)

    def _extra(self, size: str | None) -> Mapping[str, Callable[[Outcome], str]]:
        arithmetic = self._field.arithmetic.get(size or "")
        if arithmetic is None:
            return {}

        def of_datasheet(outcome: Outcome) -> str:
            _, share = arithmetic.shares(outcome.images_per_s)
            return "-" if share is None else f"{share:.1%}"

        return {
            "of peak": lambda outcome: f"{arithmetic.shares(outcome.images_per_s)[0]:.1%}",
            "of datasheet": of_datasheet,
        }

    def _tell_added(self, table: Table, size: str) -> None:
        ours, found = table.named("ours"), self._field.limits.get(size)
        if ours and found is not None:
            took_s = statistics.median(outcome.took_s for outcome in ours.values())
            added_ms = 1e3 * (took_s - found.alone_s)
            print(f"\nof a request that is alone, outside its three stages: {added_ms:.1f} ms", flush=True)

    def _tell_limit(self, table: Table, size: str) -> None:
        found = self._field.limits.get(size)
        if found is None:
            return
        for name in (name for name in table.found if name.startswith("ours")):
            if (middle := table.middle(name)) is not None:
                print(
                    f"\n{name} ÷ device limit: {middle.images_per_s / found.images_per_s:.3f}; "
                    f"÷ R: {middle.images_per_s / found.forwards_images_per_s:.3f}",
                    flush=True,
                )


def _twin(contender: Contender, arrivals: Sequence[Arrival]) -> StaticBatches | None:
    """Return who does exactly the same, where a batch is one request: it is not measured twice."""
    if not isinstance(contender, StaticBatches) or contender.alone is None:
        return None
    batched = any(contender.together(each.request) > 1 for each in arrivals) and len(arrivals) > 1
    return None if batched else contender.alone
