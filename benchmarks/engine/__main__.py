"""The engine against what others do with the same pipeline and the same work, in one run, in turn.

    python -m benchmarks.engine [--device cuda] [--model NAME] [--quality low medium] [--minutes 6]

Workloads: as many equal requests as fit, all at once (uniform); different sizes, steps and guidance, all at
once (mixed), and arriving at random at 80 % and 120 % of what B1 did of the same with a full queue. Every
contender draws the same requests, in an order that changes from round to round. Ratios are taken by round,
since the speed of a shared machine drifts; the median is what to quote. A model of the catalogue must be
downloaded, except for the shipped one. ``--random-weights`` builds a model of the published shape instead:
random weights take the same time. "Ours" is the engine by itself, "ours, served" the whole service over HTTP.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import worker  # noqa: F401 - before torch, because it says how OpenMP's threads wait

# isort: split
import httpx2
import torch

from benchmarks.engine.ceiling import Ceiling, measure, memory_gib
from benchmarks.engine.contenders import Contender, Ours, StaticBatches, StepBatches
from benchmarks.engine.served import Served, write_catalogue
from benchmarks.engine.shapes import SHAPES, entry
from benchmarks.engine.work import Arrival, Asker, Outcome, at_once
from benchmarks.service import service
from shared.catalogue import Catalogue, ModelSpec
from shared.settings import REPO_ROOT
from worker.engine import Engine
from worker.engine.arguments import call_arguments
from worker.engine.devices import describe, pick_device
from worker.engine.loading import LoadedModel, load
from worker.engine.rows.buckets import Key
from worker.engine.rows.caps import Caps
from worker.engine.rows.families.registry import adapt
from worker.engine.warmup import first_request

LOADS = (0.8, 1.2)


class Stage:
    """One model on one device, every contender loaded and warm."""

    def __init__(
        self,
        spec: ModelSpec,
        folder: Path,
        arguments: argparse.Namespace,
        client: httpx2.Client | None = None,
    ) -> None:
        """Load everything.

        Args:
            spec: the model.
            folder: its weights.
            arguments: of the command line.
            client: of a service that serves the same model on the same device; None leaves it out.
        """
        self.device = pick_device(arguments.device)
        torch.set_num_threads(arguments.threads)
        self.model: LoadedModel = load(spec, folder, self.device)
        family = adapt(self.model)
        if family is None:
            message = f"{spec.family} has no row adapter: there is nothing to compare"
            raise SystemExit(message)
        caps = Caps(self.device, fixed=arguments.batch_rows)
        caps.measure(family, lambda: call_arguments(self.model, first_request(spec)))
        self.cap = caps.of(Key(spec.name, spec.sizes.native_width, spec.sizes.native_height, 0))
        self.engine = Engine(
            {spec.name: (spec, folder)},
            arguments.device,
            torch_threads=arguments.threads,
            batch_rows=arguments.batch_rows,
        )
        self.engine.start()
        self.asker = Asker(spec, arguments.sizes, arguments.quality)
        self.family = family
        self.contenders: list[Contender] = [
            StaticBatches("B0 one at a time", self.model, 1),
            StaticBatches("B1 static batches", self.model, self.cap),
            StepBatches(self.model, family, self.cap),
            Ours(self.engine),
        ]
        if client is not None:
            self.contenders.append(Served(client))
        for contender in self.contenders:
            contender.run(self.asker.uniform(1))

    def ceiling(self) -> Ceiling:
        """Measure what the device could do with uniform work."""
        return measure(self.model, self.family, self.asker.uniform(1)[0].request, self.cap)

    def compare(self, work: Callable[[], Sequence[Arrival]], rounds: int) -> dict[str, list[Outcome]]:
        """Give every contender the same work, so many times."""
        found: dict[str, list[Outcome]] = {contender.name: [] for contender in self.contenders}
        for index in range(rounds):
            arrivals = work()
            first = index % len(self.contenders)
            shifted = self.contenders[first:] + self.contenders[:first]
            for contender in shifted:
                found[contender.name].append(contender.run(arrivals))
        return found


def table(title: str, found: dict[str, list[Outcome]], extra: Callable[[Outcome], str] | None = None) -> str:
    """Return one workload's table; ratios are medians of the rounds."""
    heads = ["", "images/s", "p50 s", "p95 s", "÷ B0", "÷ B1", "p95 ÷ B1's"] + (["of peak"] if extra else [])
    lines = [f"\n{title}\n", f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    b0, b1 = (outcomes for name, outcomes in found.items() if name[:2] in {"B0", "B1"})
    for name, outcomes in found.items():
        middle = sorted(outcomes, key=lambda each: each.images_per_s)[len(outcomes) // 2]
        cells = [
            name,
            f"{middle.images_per_s:.3f}",
            f"{middle.percentile_s(0.5):.2f}",
            f"{middle.percentile_s(0.95):.2f}",
            ratio(outcomes, b0, lambda each: each.images_per_s),
            ratio(outcomes, b1, lambda each: each.images_per_s),
            ratio(outcomes, b1, lambda each: each.percentile_s(0.95)),
            *([extra(middle)] if extra else []),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(ours: Sequence[Outcome], theirs: Sequence[Outcome], of: Callable[[Outcome], float]) -> str:
    """Return the median ratio of rounds, with its range."""
    ratios = [of(own) / of(other) for own, other in zip(ours, theirs, strict=True)]
    middle = f"{statistics.median(ratios):.3f}"
    return middle if len(ratios) == 1 else f"{middle} ({min(ratios):.2f} to {max(ratios):.2f})"


def report(stage: Stage, rounds: int, minutes: float) -> None:
    """Measure and print everything."""
    ceiling = stage.ceiling()
    one = stage.contenders[0].run(stage.asker.uniform(1)).took_s
    # Every contender, one at a time, uniform and three kinds of mixed: in so many minutes.
    count = max(3, int(60 * minutes / (one * rounds * len(stage.contenders) * 5)))
    print(
        f"{stage.model.spec.name} on {describe(stage.device)}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}; {stage.cap} rows a forward pass, "
        f"{count} requests a workload, {rounds} rounds"
    )
    print(
        f"R, the bare loop of forwards: {ceiling.images_per_s:.3f} images/s "
        f"({1e3 * ceiling.forward_s:.1f} ms a forward of {ceiling.rows}, {ceiling.ticks} an image; "
        f"decoding {1e3 * ceiling.decode_s:.0f} ms; peak {ceiling.peak_flops_per_s / 1e12:.3f} TFLOP/s)"
    )

    def share(outcome: Outcome) -> str:
        return f"{ceiling.share_of_peak(outcome.images_per_s):.1%}"

    alone = stage.compare(lambda: stage.asker.uniform(1), max(5, rounds))
    print(table("One at a time", alone, share))
    # Without the loop of forwards and the decoding there is only what the engine adds.
    ours_s = statistics.median(outcome.took_s for outcome in alone["ours"])
    added_ms = 1e3 * (ours_s - ceiling.ticks * ceiling.forward_s / ceiling.rows - ceiling.decode_s)
    print(f"\nnon-device time of a request: {added_ms:.1f} ms", flush=True)
    uniform = stage.compare(partial(stage.asker.uniform, count), rounds)
    print(table("Uniform, all at once", uniform, share), flush=True)
    for name in [name for name in uniform if name.startswith("ours")]:
        median = statistics.median(outcome.images_per_s for outcome in uniform[name])
        print(f"\n{name} ÷ R: {median / ceiling.images_per_s:.3f}")
    full = stage.compare(lambda: at_once(stage.asker.mixed(count, 1.0, 1)), rounds)
    print(table("Mixed, all at once", full), flush=True)
    capacity = statistics.median(outcome.images_per_s for outcome in full["B1 static batches"])
    for load_ in LOADS:
        arriving = stage.compare(lambda load_=load_: stage.asker.mixed(count, load_ * capacity, 2), rounds)  # type: ignore[misc]
        print(table(f"Mixed, arriving at {load_:.0%} of B1's capacity", arriving), flush=True)
    print(f"\nmost memory in use: {memory_gib(stage.device):.1f} GiB (every contender's weights included)")


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


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="an entry of the catalogue; by default its default")
    parser.add_argument("--random-weights", action="store_true", help=f"for {', '.join(SHAPES)}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", nargs="+", help="the first is that of uniform requests")
    parser.add_argument(
        "--quality", nargs="+", default=["low", "medium"], help="the first is of uniform ones"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=6, help="about how long all of it may take")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-rows", type=int, help="by default 1 on a CPU, measured on a GPU")
    parser.add_argument(
        "--without-service",
        action="store_true",
        help="leave the whole service out: one copy of the weights less",
    )
    arguments = parser.parse_args()
    catalogue = Catalogue.load(REPO_ROOT / "models" / "catalog.toml")
    with TemporaryDirectory() as scratch:
        if arguments.random_weights:
            spec, folder = entry(arguments.model, Path(scratch))
        else:
            found = catalogue.find(arguments.model or catalogue.default)
            if found is None:
                message = f"no model {arguments.model!r}"
                raise SystemExit(message)
            spec, folder = found, catalogue.check_weights(found)
        native = f"{spec.sizes.native_width}x{spec.sizes.native_height}"
        arguments.sizes = arguments.sizes or [native]
        with ExitStack() as running:
            client = (
                None
                if arguments.without_service
                else running.enter_context(_served(spec, folder, arguments, Path(scratch)))
            )
            stage = Stage(spec, folder, arguments, client)
            report(stage, arguments.rounds, arguments.minutes)
            stage.engine.close()


if __name__ == "__main__":
    main()
