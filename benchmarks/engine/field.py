"""One model on one device with every contender ready: loaded, tuned, compared, warm."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import torch

from benchmarks.engine.budget import Budget
from benchmarks.engine.ceiling import Arithmetic, Limit, arithmetic, limit
from benchmarks.engine.contenders import Contender, Ours, StaticBatches, StepBatches
from benchmarks.engine.correctness import compared
from benchmarks.engine.guide import follow
from benchmarks.engine.models import Copies
from benchmarks.engine.photograph import Photograph
from benchmarks.engine.results import Results
from benchmarks.engine.timing import best_batch
from benchmarks.engine.work import Asker
from shared.catalogue import ModelSpec
from worker.engine import Engine, TuningChoice
from worker.engine.models.arguments import Call, call_arguments, first_request
from worker.engine.models.devices import release_memory
from worker.engine.models.loading import LoadedModel, Source, load
from worker.engine.rows.caps import MOST_ROWS, Caps
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.registry import adapt
from worker.engine.rows.staging import STAGES, stages_of
from worker.engine.rows.tuning import Tunings
from worker.engine.stages.tuner import Trial

CHECKED: Final = 3
"""Pictures of each size that are compared with the stock pipeline's."""


@dataclass(frozen=True)
class Options:
    """What is compared, and how.

    Attributes:
        sizes: as ``WxH``; the first is that of uniform requests.
        qualities: the first is that of uniform requests.
        tuning: how far the engine's model is tuned, and the file in which that is kept.
        batch_rows: of a forward pass; None is measured, and 1 on a CPU.
        threads: of torch on the CPU.
        random: whether weights are random: a photograph is encoded in place of what they draw.
        guide: how B3 is compiled, of ``guide.HOW``.
        datasheet_tflops: of the device, where its name does not say it.
    """

    sizes: Sequence[str]
    qualities: Sequence[str]
    tuning: TuningChoice
    batch_rows: int | None = None
    threads: int | None = None
    random: bool = False
    guide: str = "regional"
    datasheet_tflops: float | None = None


class Field:
    """Made ready step by step, the engine first; what a step finds is printed and kept at once."""

    # As the engine loads: what is made in this mode can be changed in it only.
    @torch.inference_mode()
    def __init__(
        self, spec: ModelSpec, source: Source, device: torch.device, options: Options, results: Results
    ) -> None:
        """Load the model, and find out in which batches its stock pipeline is quickest."""
        self.spec = spec
        self.device = device
        self.options = options
        self.results = results
        self.asker = Asker(spec, options.sizes, options.qualities)
        self.contenders: list[Contender] = []
        self.limits: dict[str, Limit] = {}
        self.arithmetic: dict[str, Arithmetic] = {}
        self.compiled: list[str] = []
        """Sizes at which B3 is."""
        self.engine: Engine | None = None
        stock = load(spec, source, device)
        self.copies = Copies(stock, Photograph(stock.pipeline))
        self._plain = self.copies.stepped()
        self.alone = Caps(device, fixed=1)
        self._caps = Caps(device, fixed=options.batch_rows)
        if options.batch_rows is None and device.type != "cpu":
            self._caps.learn(spec, self._best_batch())

    # --- the engine

    @torch.inference_mode()
    def tune(self) -> LoadedModel:
        """Tune a copy for the engine, print what became of each mode, measure its stages as they are then."""
        model = self.copies.engines()
        family = adapt(model)
        if family is not None and self.device.type != "cpu":
            self.tune_family(family)
        if family is not None:
            self._measure_limits(family)
            for graphs in family.graphs:
                # The engine records its own, in the modes that the file names.
                graphs.turn_off()
            release_memory(self.device)
        return model

    def tune_family(self, family: RowFamily) -> None:
        """Put a model into its fastest modes, and tell and keep what became of each."""
        native = self.spec.sizes.native_width, self.spec.sizes.native_height
        tunings = Tunings(self.device, Caps(self.device), self.options.tuning)
        tuning = tunings.tune(family, self._calls("{}x{}".format(*native)), told)
        for name in STAGES:
            tuned = getattr(tuning, name)
            print(f"  {name}: {', '.join(tuned.modes) or 'plain'}; {tuned.images} together", flush=True)
        self.results.note(tuning=asdict(tuning))

    def _measure_limits(self, family: RowFamily) -> None:
        for size in self.options.sizes:
            found = limit(family, self._calls(size), 1 if self.device.type == "cpu" else MOST_ROWS)
            self.limits[size] = found
            print(found.said, flush=True)
        self.results.note(limits={size: asdict(found) for size, found in self.limits.items()})

    def start_engine(self, model: LoadedModel) -> bool:
        """Start the engine with the model that was tuned for it; True once it has."""
        self.engine = Engine(
            {self.spec.name: (self.spec, lambda _spec, _device: model)},
            str(self.device),
            torch_threads=self.options.threads,
            batch_rows=self.options.batch_rows,
            tuning=self.options.tuning,
        )
        self.engine.start()
        self.contenders.append(Ours(self.engine))
        print(f"the engine has started; it holds {self.engine.capacity} rows", flush=True)
        return True

    def check(self) -> None:
        """Compare the engine's pictures with the stock pipeline's, as they are drawn."""
        (ours,) = (each for each in self.contenders if isinstance(each, Ours))
        stock = StaticBatches("stock", self.copies.stock, self.alone)
        for size in self.options.sizes:
            requests = [each.request for each in self.asker.uniform(CHECKED, size)]
            found = compared([stock.draw([each])[0] for each in requests], ours.draw(requests))
            print(f"{size}: {found.said}", flush=True)
            self.results.add("correctness", {"size": size, **asdict(found)})

    # --- the others

    def measure_arithmetic(self) -> None:
        """Count the operations of an image of each size, and measure the device's peak."""
        for size in self.options.sizes:
            found = arithmetic(self._plain, self._calls(size), self.options.datasheet_tflops)
            self.arithmetic[size] = found
            print(f"{size}: {found.said}", flush=True)
        self.results.note(arithmetic={size: asdict(found) for size, found in self.arithmetic.items()})

    def add_stock(self) -> None:
        """Make B0, B1 and B2 ready."""
        one = StaticBatches("B0 one at a time", self.copies.stock, self.alone)
        static = StaticBatches("B1 static batches", self.copies.stock, self._caps, one)
        self.contenders += [one, static, StepBatches(self._plain, self._caps)]

    @torch.inference_mode()
    def add_guided(self) -> None:
        """Make B3 ready: it compiles at each size, for one image and for a batch."""
        model = self.copies.guided()
        # The engine's stance towards what is not compiled yet holds for the whole process.
        with torch.compiler.set_stance("default"):
            done = follow(model, self._calls(self.options.sizes[0]), self.options.guide)
            print(f"B3: {'; '.join(done) or 'nothing was faster'}", flush=True)
            one = StaticBatches("B3 by the guide, one at a time", model, self.alone)
            static = StaticBatches("B3 by the guide, static batches", model, self._caps, one)
            self.results.note(guide=done)
            for size in self.options.sizes:
                self._warm(one, size)
                self._warm(static, size)
                print(f"B3: compiled at {size}", flush=True)
                if not self.compiled:
                    self.contenders += [one, static]
                self.compiled.append(size)

    def warm_up(self) -> None:
        """Let every contender do some of everything that is not counted."""
        self.copies.photograph.is_shown = self.options.random
        for size in self.options.sizes:
            for contender in self.ready([size]):
                self._warm(contender, size)

    def ready(self, sizes: Sequence[str]) -> list[Contender]:
        """Return who can be measured at such sizes: B3 only where it is compiled."""
        compiled = set(sizes) <= set(self.compiled)
        return [each for each in self.contenders if compiled or not each.name.startswith("B3")]

    def _warm(self, contender: Contender, size: str) -> None:
        (first,) = self.asker.uniform(1, size)
        contender.run([first])
        several = contender.together(first.request)
        if several > 1:
            contender.run(self.asker.uniform(several, size))

    def close(self) -> None:
        """End the engine, and let go of everything on the device."""
        if self.engine is not None:
            self.engine.close()
        self.contenders.clear()

    def _best_batch(self) -> int:
        """Return in what batches of the native size the stock denoiser is quickest."""
        native = f"{self.spec.sizes.native_width}x{self.spec.sizes.native_height}"
        (denoise,) = (each for each in stages_of(self._plain, self._calls(native)) if each.name == "denoise")
        return best_batch(denoise.run, self.device, MOST_ROWS).images

    def _calls(self, size: str) -> Callable[[str], Call]:
        width, height = map(int, size.split("x"))
        steps = self.asker.uniform(1, size)[0].request.steps

        def call(words: str) -> Call:
            request = first_request(self.spec, words)
            return call_arguments(
                self.copies.stock, replace(request, width=width, height=height, steps=steps)
            )

        return call


def told(trial: Trial) -> None:
    """Print what became of a mode of a stage."""
    figures = (
        f"{trial.ms:8.2f} ms" if trial.ms is not None else "       - ms",
        f"x{trial.ratio:.2f}" if trial.ratio is not None else "",
        f"error {trial.error:.1e}" if trial.error is not None else "",
        "kept" if trial.kept else trial.why,
    )
    print(f"  {trial.stage:8} {trial.mode:26} {'  '.join(filter(None, figures))}", flush=True)


def prepare(field: Field, budget: Budget, guided_s: float | None) -> None:
    """Make the contenders ready, the engine first; what fails or does not fit is named.

    Args:
        field: with the model loaded.
        budget: for all of it.
        guided_s: what B3 may take at most; None leaves it out.
    """
    name = field.spec.name
    model = budget.attempt(f"{name}: tuning", field.tune)
    if model is not None:
        started = budget.attempt(f"{name}: the engine", lambda: field.start_engine(model))
        if started:
            budget.attempt(f"{name}: correctness", field.check)
    budget.attempt(f"{name}: arithmetic", field.measure_arithmetic)
    budget.attempt(f"{name}: B0, B1 and B2", field.add_stock)
    if guided_s is None:
        budget.missed[f"{name}: B3"] = "left out: it is compiled only where --guide asks for it"
    else:
        budget.part(guided_s).attempt(f"{name}: B3", field.add_guided)
    budget.attempt(f"{name}: warming up", field.warm_up)
