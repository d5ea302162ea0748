"""The report of a run, as the tables of docs/performance.md."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.soak.callers import Heard, Sample
from benchmarks.soak.watching import Taken, growths


def share(values: Sequence[float], part: float) -> float:
    """Return a percentile of values that need not be sorted; not a number where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def latencies(samples: Sequence[Sample], seconds: float) -> Iterator[str]:
    """Yield the table of latencies: all of a run, its first tenth and its last."""
    yield "| way | calls | p50 ms | p99 ms | first tenth p50 / p99 | last tenth p50 / p99 |"
    yield "| --- | --- | --- | --- | --- | --- |"
    by_way: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_way[sample.way].append(sample)
    for way, made in sorted(by_way.items()):
        first = [1000 * each.took_s for each in made if each.at_s < seconds / 10]
        last = [1000 * each.took_s for each in made if each.at_s >= 0.9 * seconds]
        whole = [1000 * each.took_s for each in made]
        tenths = [f"{share(part, 0.5):.0f} / {share(part, 0.99):.0f}" for part in (first, last)]
        cells = [way, str(len(made)), f"{share(whole, 0.5):.0f}", f"{share(whole, 0.99):.0f}", *tenths]
        yield "| " + " | ".join(cells) + " |"


def processes(samples: Mapping[str, Sequence[Taken]]) -> Iterator[str]:
    """Yield the table of what processes took."""
    yield "| process | memory MiB, first / last | growth by thirds, KiB a minute | files | threads |"
    yield "| --- | --- | --- | --- | --- |"
    for name, seen in samples.items():
        memory = f"{seen[0].memory_bytes / 2**20:.1f} / {seen[-1].memory_bytes / 2**20:.1f}"
        grew = " / ".join(f"{60 * part / 1024:+.0f}" for part in growths(seen))
        files = f"{seen[0].files} / {seen[-1].files}"
        threads = f"{seen[0].threads} / {seen[-1].threads}"
        yield f"| {name} | {memory} | {grew} | {files} | {threads} |"


def leavings(kept: Mapping[str, int], disk_bytes: int) -> Iterator[str]:
    """Yield what the service keeps on purpose when everybody has left, and what the run took on disk."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(kept.items()))
    yield f"keys that are kept: {kinds}"
    yield f"on disk, until now: {disk_bytes / 2**20:.0f} MiB"


def answers(heard: Heard) -> Iterator[str]:
    """Yield what callers were answered, by kind of call."""
    for answer, times in sorted(heard.answers.items()):
        yield f"{times:8} {answer}"
