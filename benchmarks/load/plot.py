"""Draws what a run of the load script noted: latency of held calls against users, and a table.

python -m benchmarks.load.plot load.jsonl load.svg
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

Line = dict[str, Any]


def by_step(lines: Iterable[Line]) -> list[list[Line]]:
    """Return the requests of each step."""
    steps: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        steps[line["step"]].append(line)
    return [steps[step] for step in sorted(steps)]


def percentile(lines: Iterable[Line], part: float) -> float:
    """Return a percentile of what requests took, in ms."""
    took = sorted(line["took_ms"] for line in lines)
    return float(took[min(len(took) - 1, int(part * len(took)))])


def rate(step: list[Line]) -> float:
    """Return how many requests a second were answered in a step."""
    return len(step) / float(step[0]["step_s"])


def table(steps: list[list[Line]]) -> list[str]:
    """Return the steps as a table."""
    rows = [
        "| users | requests/s | held p50 / p95 / p99 ms | all p99 ms | failed |",
        "| --- | --- | --- | --- | --- |",
    ]
    for step in steps:
        held = [line for line in step if line["name"] == "held"] or step
        times = " / ".join(f"{percentile(held, part):.0f}" for part in (0.5, 0.95, 0.99))
        failed = sum(line["failed"] for line in step)
        rows.append(
            f"| {step[0]['users']} | {rate(step):.0f} | {times} | {percentile(step, 0.99):.0f} | {failed} |"
        )
    return rows


def draw(steps: list[list[Line]], file: Path) -> None:
    """Draw latency against load into a file whose name says in which form."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    users = [step[0]["users"] for step in steps]
    held = [[line for line in step if line["name"] == "held"] or step for step in steps]
    for part, style in ((0.5, "-"), (0.95, "--"), (0.99, ":")):
        times, label = [percentile(step, part) for step in held], f"held calls, p{100 * part:.0f}"
        axes.plot(users, times, style, marker="o", label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(users, [f"{count}\n{rate(step):.0f}/s" for count, step in zip(users, steps, strict=True)])
    axes.set_xlabel("users at once, and requests answered a second")
    axes.set_ylabel("latency, ms")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file)


def main() -> None:
    """Print the table and draw the plot."""
    source, target = map(Path, sys.argv[1:])
    steps = by_step(json.loads(line) for line in source.read_text(encoding="utf-8").splitlines())
    print("\n".join(table(steps)))
    draw(steps, target)


if __name__ == "__main__":
    main()
