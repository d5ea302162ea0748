"""The engine against what others do with the same pipeline and the same work, in one run, in turn.

    python -m benchmarks.engine [--device cuda] [--model NAME] [--quality low medium] [--budget-s 600]

Workloads: one request at a time; as many equal requests as fit, all at once (uniform); different sizes, steps
and guidance, all at once (mixed), and arriving at random at several multiples of what B1 did of the same with
a full queue. Every contender draws the same requests, in an order that changes from round to round. Ratios
are taken by round, since the speed of a shared machine drifts; the median is what to quote. Beside them: what
the device allows (its limit: all three stages in the modes in which the engine runs them, at their best
batches), the bare loop of forwards (R), and the share of the peak at which all three's arithmetic is done.

A model of the catalogue must be downloaded, except for the shipped one. ``--random-weights`` builds a model
of the published shape instead: random weights take the same time, and a photograph is encoded in place of the
noise that they draw. "Ours" is the engine by itself, "ours, served" the whole service over HTTP (with random
weights it encodes the noise). It ends within ``--budget-s``, loading and tuning included, and names what was
not reached.
"""

import argparse
import faulthandler
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.engine.began import seconds_since

# isort: split
import worker  # noqa: F401 - before torch, because it says how OpenMP's threads wait

# isort: split
import httpx2
import torch

from benchmarks.engine.budget import Budget
from benchmarks.engine.ceiling import memory_gib
from benchmarks.engine.comparing import LOADS, Comparing
from benchmarks.engine.field import Field, Options, prepare
from benchmarks.engine.guide import HOW
from benchmarks.engine.plot import draw
from benchmarks.engine.results import Results, not_reached, surroundings
from benchmarks.engine.served import Served, write_catalogue
from benchmarks.engine.shapes import SHAPES, build, entry, write
from benchmarks.service import service
from shared.catalogue import Catalogue, ModelSpec
from shared.settings import REPO_ROOT
from worker.engine import TuningChoice
from worker.engine.models.devices import pick_device
from worker.engine.models.loading import Source
from worker.engine.rows.tuning import Level

CLOSING_SHARE: Final = 0.05
"""Of the time, kept for ending the engine and the service, and for naming what was not reached."""
MOST_CLOSING_S: Final = 15.0
TUNING_SHARE: Final = 0.2
GUIDED_SHARE: Final = 0.3
LEAST_REQUESTS: Final = 3
ALONE: Final = 5
"""Rounds of one request at a time, at least."""


def report(field: Field, budget: Budget, rounds: int, requests: int | None = None) -> None:
    """Give every contender of a field all the workloads, and print what comes of them."""
    comparing = Comparing(field, budget, rounds)
    size = field.options.sizes[0]
    alone = comparing.one_at_a_time(size, max(ALONE, rounds))
    one = alone.named("B0")
    one_s = max((outcome.took_s for outcome in one.values()), default=1.0)
    count = requests or fitting(budget.left_s, one_s, rounds * len(field.contenders))
    print(f"\n{count} requests a workload, {rounds} rounds, {budget.left_s:.0f} s left", flush=True)
    comparing.uniform(size, count)
    comparing.mixed(count)
    gib = memory_gib(field.device)
    field.results.note(memory_gib=gib)
    print(f"\nmost memory in use: {gib:.1f} GiB (every contender's weights included)", flush=True)


def fitting(left_s: float, one_s: float, times: int) -> int:
    """Return how many requests a workload fit into the time, if nobody is faster than one at a time."""
    # Uniform and mixed, and arriving: at half of the capacity that takes twice as long.
    workloads = 2 + sum(max(1.0, 1 / load) for load in LOADS)
    return max(LEAST_REQUESTS, int(left_s / (one_s * max(1, times) * workloads)))


def model_of(arguments: argparse.Namespace, scratch: Path) -> tuple[ModelSpec, Source]:
    """Return the entry of the model that is asked for, and where it comes from."""
    if arguments.random_weights:
        spec = entry(arguments.model)
        # The service is another process, which reads files.
        return (
            (spec, build)
            if arguments.without_service
            else (write(spec, scratch / "model"), scratch / "model")
        )
    catalogue = Catalogue.load(REPO_ROOT / "models" / "catalog.toml")
    found = catalogue.find(arguments.model or catalogue.default)
    if found is None:
        message = f"no model {arguments.model!r}"
        raise SystemExit(message)
    return found, catalogue.check_weights(found)


@contextmanager
def _served(
    spec: ModelSpec, folder: Path, arguments: argparse.Namespace, scratch: Path
) -> Iterator[httpx2.Client]:
    """Run the service with this model on this device, with bounds that let the load in."""
    settings = {
        "MODELS__CATALOGUE": str(write_catalogue(spec, folder, scratch / "catalog.toml")),
        "WORKER__DEVICE": arguments.device,
        "WORKER__TORCH_THREADS": str(arguments.threads),
        "JOBS__MAX_WAIT_S": "100000",
        "JOBS__MAX_OWED_S_PER_OWNER": "100000",
    }
    with service(scratch / "service", **settings) as (client, _):
        yield client


def measure(arguments: argparse.Namespace, budget: Budget, results: Results, scratch: Path) -> None:
    """Load, tune and compare, within the budget."""
    device = pick_device(arguments.device)
    torch.set_num_threads(arguments.threads)
    spec, source = model_of(arguments, scratch)
    native = f"{spec.sizes.native_width}x{spec.sizes.native_height}"
    options = Options(
        sizes=arguments.sizes or [native],
        qualities=arguments.quality,
        tuning=TuningChoice(arguments.tuning, scratch / "tuning.json", TUNING_SHARE * budget.left_s),
        batch_rows=arguments.batch_rows,
        threads=arguments.threads,
        random=arguments.random_weights,
        guide=arguments.guide or "regional",
        datasheet_tflops=arguments.datasheet_tflops,
    )
    results.note(model=spec.name, sizes=list(options.sizes), quality=list(options.qualities))
    guided = arguments.guide is not None or device.type == "cuda"
    with ExitStack() as running:
        field = budget.attempt(f"{spec.name}: loading", lambda: Field(spec, source, device, options, results))
        if field is None:
            return
        running.callback(field.close)
        if not arguments.without_service and isinstance(source, Path):
            folder = source
            client = budget.attempt(
                f"{spec.name}: the service",
                lambda: running.enter_context(_served(spec, folder, arguments, scratch)),
            )
            if client is not None:
                field.contenders.append(Served(client))
        prepare(field, budget, GUIDED_SHARE * budget.left_s if guided else None)
        report(field, budget, arguments.rounds, arguments.requests)


def arguments_of() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="an entry of the catalogue; by default its default")
    parser.add_argument("--random-weights", action="store_true", help=f"for {', '.join(map(str, SHAPES))}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", nargs="+", help="the first is that of uniform requests")
    parser.add_argument(
        "--quality", nargs="+", default=["low", "medium"], help="the first is of uniform ones"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, help="of a workload; by default as many as fit")
    parser.add_argument("--budget-s", type=float, default=600, help="seconds after which it has ended")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-rows", type=int, help="by default 1 on a CPU, measured on a GPU")
    parser.add_argument(
        "--tuning", choices=[level.value for level in Level], default="full", help="of the engine, on a GPU"
    )
    parser.add_argument("--guide", choices=HOW, help="how B3 is compiled; on a CPU it is left out without")
    parser.add_argument("--datasheet-tflops", type=float, help="dense bf16 of the device")
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    parser.add_argument("--plot", type=Path, help="a picture of it, svg or png; needs matplotlib")
    parser.add_argument(
        "--without-service",
        action="store_true",
        help="leave the whole service out: one copy of the weights less",
    )
    arguments = parser.parse_args()
    if arguments.plot is not None and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib, which the extra `load` brings; --json keeps what it draws")
    return arguments


def main() -> int:
    """Run from the command line."""
    arguments = arguments_of()
    left_s = arguments.budget_s - seconds_since()
    # Ends the process even where it hangs in a call that no alarm interrupts.
    faulthandler.dump_traceback_later(max(1.0, left_s), exit=True)
    budget = Budget(left_s - min(MOST_CLOSING_S, CLOSING_SHARE * arguments.budget_s))
    on = surroundings(pick_device(arguments.device))
    # What is missed is written with whatever is found next.
    results = Results(arguments.json, **on, missed=budget.missed)
    print(", ".join(f"{name} {found}" for name, found in on.items()), flush=True)
    print(f"{arguments.threads} threads, {arguments.budget_s:.0f} s", flush=True)
    with TemporaryDirectory() as scratch:
        budget.survive("all of it", lambda: measure(arguments, budget, results, Path(scratch)))
    results.note(took_s=seconds_since())
    print(f"\n{not_reached(budget.missed)}", flush=True)
    if arguments.plot is not None:
        draw(results.found, arguments.plot)
    return 1 if budget.failed else 0


if __name__ == "__main__":
    sys.exit(main())
