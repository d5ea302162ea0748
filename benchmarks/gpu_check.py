"""Everything that only a machine with a GPU can say, in a few minutes: ``python -m benchmarks.gpu_check``.

    python -m benchmarks.gpu_check [--budget-s 480] [--parts tests sd-turbo flux.2-klein-4b] [--out FOLDER]

First the tests marked gpu; then for each model, with random weights that are made on the device: every mode
of every stage against its plain form, the engine's pictures against the stock pipeline's, and the tables
against B0 to B3. Each part has its share of the time and prints as it goes; what fails or does not fit is
named at the end, and everything is in results.json of the folder. It ends when the time is over, whatever
happens.
"""

import argparse
import faulthandler
import gc
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.engine.began import seconds_since

# isort: split
import worker  # noqa: F401 - before torch, because it says how OpenMP's threads wait

# isort: split
import torch

from benchmarks.engine.budget import Budget
from benchmarks.engine.ceiling import memory_gib
from benchmarks.engine.comparing import Comparing
from benchmarks.engine.field import Field, Options, prepare
from benchmarks.engine.guide import HOW
from benchmarks.engine.results import Results, not_reached, surroundings
from benchmarks.engine.shapes import build, entry
from shared.catalogue import ModelSpec
from worker.engine import TuningChoice
from worker.engine.models.devices import release_memory
from worker.engine.models.loading import Source
from worker.engine.rows.tuning import Level

TESTS: Final = "tests"
LAST_S: Final = 12.0
"""Kept for the end: to name what was not reached and write everything down."""
CLOSING_S: Final = 4.0
"""What ending a model's part may take beyond its time."""
ALONE: Final = 3
"""Requests of each contender that are measured one at a time."""
TESTS_SHARE: Final = 0.13
GUIDED_SHARE: Final = 0.35
"""Of a model's part, what making B3 ready may take."""
PYTEST: Final = """[pytest]
addopts = -ra --import-mode=importlib
pythonpath = .
markers =
    gpu: needs CUDA
    slow: takes seconds
"""


class Part(NamedTuple):
    """A model's part of the check."""

    sizes: tuple[str, ...]
    requests: int
    level: str
    share: float
    """Of the time that is left when it begins, if others are to come."""
    tuning: float
    """Share of the part's time after which no mode is begun."""


PARTS: Final = {
    "sd-turbo": Part(("512x512",), 96, Level.QUICK.value, 0.25, 0.3),
    "flux.2-klein-4b": Part(("1024x1024", "512x512"), 16, Level.FULL.value, 1.0, 0.42),
}


def run_tests(folder: Path, budget: Budget, results: Results) -> None:
    """Run the tests that need a GPU, in a process of their own."""
    if importlib.util.find_spec("pytest") is None:
        budget.missed[TESTS] = "pytest is not installed"
        return
    # Not the project's own settings, whose plug-ins and fixtures need what a bare machine with a GPU lacks.
    settings = folder / "pytest.ini"
    settings.write_text(PYTEST, encoding="utf-8")
    engine = Path("tests") / "unit" / "engine"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-c", str(settings), "--rootdir", "."]
    command += ["--confcutdir", str(engine), str(engine)]
    status = budget.attempt(TESTS, lambda: subprocess.run(command, check=False).returncode)
    if status is not None:
        results.note(tests=status)
        if status != 0:
            budget.fail(TESTS, f"pytest ended with {status}")


def check_model(
    spec: ModelSpec, source: Source, part: Part, options: argparse.Namespace, budget: Budget, results: Results
) -> None:
    """Compare the contenders of one model."""
    device = torch.device(options.device)
    print(f"\n## {spec.name}: {budget.left_s:.0f} s\n", flush=True)
    chosen = options_of(spec, part, options, budget)
    field = budget.attempt(f"{spec.name}: loading", lambda: Field(spec, source, device, chosen, results))
    if field is None:
        return
    budget.survive(spec.name, lambda: compare(field, part, budget))
    results.note(memory_gib=memory_gib(device))
    # Its device may be lost, and then it does not come back from what it is doing.
    Budget(CLOSING_S, budget).attempt(f"{spec.name}: closing", field.close)


def options_of(spec: ModelSpec, part: Part, options: argparse.Namespace, budget: Budget) -> Options:
    """Return how a model's contenders are compared within so much time."""
    file: Path = options.out / f"{spec.name}-tuning.json"
    # What an earlier run has found is not measured by this one.
    file.unlink(missing_ok=True)
    return Options(
        sizes=part.sizes,
        qualities=("medium",),
        tuning=TuningChoice(options.tuning or part.level, file, part.tuning * budget.left_s),
        random=True,
        guide=options.guide,
        datasheet_tflops=options.datasheet_tflops,
    )


def compare(field: Field, part: Part, budget: Budget) -> None:
    """Make everything ready, and give all contenders the same work."""
    prepare(field, budget, GUIDED_SHARE * budget.left_s)
    comparing = Comparing(field, budget, rounds=1)
    for size in part.sizes:
        comparing.uniform(size, part.requests)
        comparing.one_at_a_time(size, ALONE)
    if len(part.sizes) > 1:
        comparing.mixed(part.requests)


def check(options: argparse.Namespace) -> Budget:
    """Do every part that was asked for; return what was missed."""
    budget = Budget(options.budget_s - seconds_since() - LAST_S)
    device = torch.device(options.device)
    on = surroundings(device)
    # What is missed is written with whatever is found next.
    results = Results(options.out / "results.json", **on, missed=budget.missed)
    print(", ".join(f"{name} {found}" for name, found in on.items()), flush=True)
    if TESTS in options.parts:
        print("\n## tests\n", flush=True)
        run_tests(options.out, budget.part(TESTS_SHARE * budget.left_s), results)
    names = [name for name in PARTS if name in options.parts]
    for name in names:
        share = 1.0 if name == names[-1] else PARTS[name].share
        of_it = budget.part(share * budget.left_s)
        check_model(entry(name), build, PARTS[name], options, of_it, results.part(name))
        torch.compiler.reset()
        gc.collect()
        release_memory(device)
    results.note(took_s=seconds_since())
    return budget


def arguments_of(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--budget-s", type=float, default=480, help="seconds after which it has ended")
    parser.add_argument("--parts", nargs="+", choices=[TESTS, *PARTS], default=[TESTS, *PARTS])
    parser.add_argument("--out", type=Path, default=Path(".darkroom") / "gpu-check")
    parser.add_argument("--tuning", choices=[level.value for level in Level], help="by default as fits")
    parser.add_argument("--guide", choices=HOW, default="regional", help="how B3 is compiled")
    parser.add_argument("--datasheet-tflops", type=float, help="dense bf16 of the device")
    return argparse.Namespace(**vars(parser.parse_args(given)), device="cuda")


def main() -> int:
    """Run from the command line."""
    options = arguments_of()
    if not torch.cuda.is_available():
        print("gpu-check: there is no GPU here", file=sys.stderr)
        return 1
    # Ends the process even where it hangs in a call that no alarm interrupts.
    faulthandler.dump_traceback_later(max(1.0, options.budget_s - seconds_since()), exit=True)
    options.out.mkdir(parents=True, exist_ok=True)
    budget = check(options)
    print(f"\n{not_reached(budget.missed)}\n{options.out / 'results.json'}", flush=True)
    return 1 if budget.failed else 0


if __name__ == "__main__":
    sys.exit(main())
