"""Draws what a run of the benchmark found: images a second against load, a request's time by stage.

    python -m benchmarks.engine.plot results.json engine.svg

By matplotlib, which the extra ``load`` brings: benchmarks/load draws with it too. A run on a machine without
it keeps its JSON, from which this draws elsewhere.
"""

import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Found = Mapping[str, Any]


def speeds(found: Found) -> dict[str, list[tuple[float, float]]]:
    """Return for every contender the images a second at each offered load, as multiples of B1's capacity."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for table in found.get("tables", []):
        if table["offered"] is None:
            continue
        for name, rounds in table["found"].items():
            made = [len(each["latencies_s"]) / each["took_s"] for each in rounds.values()]
            if made:
                lines.setdefault(name, []).append((table["offered"], statistics.median(made)))
    return {name: sorted(points) for name, points in lines.items()}


def stages(found: Found) -> dict[str, dict[str, float]]:
    """Return for each workload what a request of the engine spent in each stage, in ms, on average."""
    bars: dict[str, dict[str, float]] = {}
    for table in found.get("tables", []):
        rounds = list(table["found"].get("ours", {}).values())
        names = dict.fromkeys(stage for each in rounds for stage in each["stages_s"])
        if names:
            bars[table["title"]] = {
                stage: 1e3 * statistics.mean(each["stages_s"].get(stage, 0.0) for each in rounds)
                for stage in names
            }
    return bars


def draw(found: Found, file: Path) -> None:
    """Draw both into a file whose name says in which form."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - what is drawn is found out without it

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_speeds(left, speeds(found))
    _draw_stages(right, stages(found))
    figure.suptitle(f"{found.get('model', '')} on {found.get('device', '')}")
    figure.savefig(file)


def _draw_speeds(axes: Any, lines: Mapping[str, list[tuple[float, float]]]) -> None:  # noqa: ANN401 - matplotlib's
    for name, points in lines.items():
        loads, made = zip(*points, strict=True)
        axes.plot(loads, made, marker="o", label=name)
    axes.set_xlabel("requests that arrive, as a multiple of B1's capacity")
    axes.set_ylabel("images a second")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if lines:
        axes.legend()


def _draw_stages(axes: Any, bars: Mapping[str, Mapping[str, float]]) -> None:  # noqa: ANN401 - matplotlib's
    names = dict.fromkeys(stage for bar in bars.values() for stage in bar)
    ends = [0.0] * len(bars)
    for stage in names:
        widths = [bar.get(stage, 0.0) for bar in bars.values()]
        axes.barh(list(bars), widths, left=ends, label=stage)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    axes.set_xlabel("ms of a request in each stage of the engine, on average")
    axes.invert_yaxis()
    if names:
        axes.legend()


def main() -> None:
    """Draw from the command line."""
    source, target = map(Path, sys.argv[1:])
    draw(json.loads(source.read_text(encoding="utf-8")), target)


if __name__ == "__main__":
    main()
