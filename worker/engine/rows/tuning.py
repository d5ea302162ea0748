"""How the models of a device run: tuned when one is first loaded, and kept in a file for the next start."""

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import version
from time import perf_counter
from typing import Final

import structlog
import torch

from shared.catalogue import ModelSpec
from shared.errors import CatalogueError
from shared.tuning_file import Kept, KeptStage, TuningFile
from worker.engine.models.arguments import Call, call_arguments, first_request
from worker.engine.models.devices import hardware, release_memory
from worker.engine.models.loading import LoadedModel
from worker.engine.request import TuningChoice
from worker.engine.rows.caps import Caps
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.registry import adapt
from worker.engine.rows.staging import STAGES, modes_of, stages_of
from worker.engine.stages.cuda import CudaRecorder
from worker.engine.stages.graphs import Recorder
from worker.engine.stages.modes import Mode
from worker.engine.stages.stage import Stage
from worker.engine.stages.tuner import Limits, Trial, Tuned, Tuner

log = structlog.get_logger(__name__)

LIBRARIES: Final = ("torch", "diffusers", "transformers")
"""What is found holds for their versions."""


class Level(Enum):
    """How far a model is tuned."""

    OFF = "off"
    """Not at all; only how many images go together is measured."""
    QUICK = "quick"
    """In the modes that are tried in seconds."""
    FULL = "full"
    """In all."""

    @property
    def budget_s(self) -> float:
        """Seconds after which no mode is begun."""
        return {Level.OFF: 0.0, Level.QUICK: 20.0, Level.FULL: 300.0}[self]

    @property
    def served_by(self) -> "tuple[Level, ...]":
        """The levels at which it may have been found what is used at this one, the most thorough first."""
        return (Level.FULL, Level.QUICK) if self is Level.QUICK else (self,)


@dataclass(frozen=True)
class Tuning:
    """How the stages of a model run, how far that was looked for, and when it was found, in unix seconds."""

    text: Tuned
    denoise: Tuned
    decode: Tuned
    level: str
    found_at: int

    @property
    def stages(self) -> dict[str, Tuned]:
        """The stages by name, in their order."""
        return {name: getattr(self, name) for name in STAGES}


class Tunings:
    """Tunes models, or remembers how they were tuned."""

    def __init__(
        self,
        device: torch.device,
        caps: Caps,
        choice: TuningChoice,
        recorder: Callable[[], Recorder | None] | None = None,
        modes: Callable[[RowFamily, Stage], tuple[Mode, ...]] | None = None,
    ) -> None:
        """Begin with what an earlier run has found.

        Args:
            device: on which the models are; on a CPU nothing is tuned.
            caps: is told how many rows are best.
            choice: how far they are tuned, and where what was found is kept.
            recorder: makes a recorder of a stream; by default that of CUDA, where the device is one.
            modes: returns the modes of a stage in the order in which they are tried; by default all.
        """
        self.hurried = False
        """Whether requests may wait meanwhile: then nothing that takes minutes is tried."""
        self.known: dict[str, Tuning] = {}
        """How the models run that have been on the device, by name."""
        self._device = device
        self._caps = caps
        self._level = Level(choice.level)
        self._file = TuningFile(choice.file) if choice.file is not None else None
        self._budget_s = choice.budget_s
        self._recorder = recorder or (lambda: CudaRecorder(device) if device.type == "cuda" else None)
        self._modes = modes or modes_of

    def adapt(self, model: LoadedModel) -> RowFamily | None:
        """Return a model's adapter, tuned, or nothing where its pipeline can only be run whole.

        Raises:
            CatalogueError: not even its plain form runs on the device; the message names its entry.
        """
        family = adapt(model)
        if family is None or self._device.type == "cpu":
            return family
        try:
            self.tune(family, lambda words: call_arguments(model, first_request(model.spec, words)), _log)
        except Exception as error:
            # A worker that starts must end with it: Celery would go on without a model.
            detail = str(error).strip().splitlines() or [""]
            msg = f"model {model.spec.name!r}: it could not be tuned: {type(error).__name__}: {detail[0]}"
            raise CatalogueError(msg) from error
        return family

    def kept(self, spec: ModelSpec) -> Tuning | None:
        """Return what an earlier run has found for a model, and what would be used of it at this level."""
        return next(iter(self._kept(spec)), None)

    def tune(
        self,
        family: RowFamily,
        call: Callable[[str], Call],
        tell: Callable[[Trial], object] = lambda _: None,
        *,
        plan: Callable[[int], object] = lambda _: None,
        again: bool = False,
    ) -> Tuning:
        """Put a model into the modes that are fastest for it here, finding them where they are not known.

        Args:
            family: of the model.
            call: returns what to draw for a prompt.
            tell: is told of each mode that is tried.
            plan: is told before the first how many those are; not where what is known is applied.
            again: find them anew, and forget what was known.
        """
        # A shape that comes while requests are drawn is not compiled then: it runs as it is.
        torch.compiler.set_stance("default")
        try:
            stages = stages_of(family, call)
            for kept in () if again else self._kept(family.model.spec):
                if self._apply(family, stages, kept):
                    return self._take(family, kept)
            found = self._find(family, stages, tell, plan)
            self._keep(family.model.spec, found, again=again)
            return self._take(family, found)
        finally:
            torch.compiler.set_stance("eager_on_recompile")

    def _find(
        self,
        family: RowFamily,
        stages: Sequence[Stage],
        tell: Callable[[Trial], object],
        plan: Callable[[int], object],
    ) -> Tuning:
        ends_at = perf_counter() + self._begun_within_s
        tuners = [self._tuner(family, stage, ends_at, tell) for stage in stages]
        plan(sum(len(tuner.planned(stage)) for tuner, stage in zip(tuners, stages, strict=True)))
        text, denoise, decode = (tuner.tune(stage) for tuner, stage in zip(tuners, stages, strict=True))
        return Tuning(text, denoise, decode, self._level_now.value, int(time.time()))

    @property
    def _begun_within_s(self) -> float:
        if self._budget_s is not None and not self.hurried:
            return self._budget_s
        return self._level_now.budget_s

    @property
    def _level_now(self) -> Level:
        return Level.QUICK if self.hurried and self._level is Level.FULL else self._level

    def _take(self, family: RowFamily, tuning: Tuning) -> Tuning:
        family.texts_together.most = tuning.text.images
        family.decodings_together.most = tuning.decode.images
        self._caps.learn(family.model.spec, tuning.denoise.images)
        self.known[family.model.spec.name] = tuning
        return tuning

    def _apply(self, family: RowFamily, stages: Sequence[Stage], kept: Tuning) -> bool:
        applied = list[tuple[Tuner, Stage, Tuned]]()
        for stage in stages:
            tuner, tuned = self._tuner(family, stage, 0.0, lambda _: None), kept.stages[stage.name]
            try:
                tuner.apply(stage, tuned)
            except Exception as error:  # noqa: BLE001 - then it is found anew
                log.warning("tuning.not_applied", model=family.model.spec.name, error=type(error).__name__)
                for other, done, how in reversed(applied):
                    other.undo(done, how)
                return False
            applied.append((tuner, stage, tuned))
        return True

    def _tuner(
        self, family: RowFamily, stage: Stage, ends_at: float, tell: Callable[[Trial], object]
    ) -> Tuner:
        off = self._level is Level.OFF
        return Tuner(
            () if off else self._modes(family, stage),
            self._clock,
            limits=Limits(ends_at, slow=self._level_now is Level.FULL),
            recorder=None if off else self._recorder(),
            release=lambda: release_memory(self._device),
            tell=tell,
        )

    def _clock(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return perf_counter()

    def _kept(self, spec: ModelSpec) -> Iterator[Tuning]:
        known = self._file.read() if self._file is not None else {}
        for level in self._level_now.served_by:
            tuning = _tuning(known.get(self._identity(spec, level)))
            if tuning is not None:
                yield tuning

    def _keep(self, spec: ModelSpec, found: Tuning, *, again: bool) -> None:
        if self._file is None:
            return
        kept = Kept(
            model=spec.name,
            device=hardware(self._device),
            level=found.level,
            found_at=found.found_at,
            libraries=_libraries(),
            weights=spec.weights_version,
            text=_kept_stage(found.text),
            denoise=_kept_stage(found.denoise),
            decode=_kept_stage(found.decode),
        )
        known = [self._identity(spec, level) for level in self._level_now.served_by] if again else []
        try:
            self._file.keep(self._identity(spec, self._level_now), kept, instead_of=known)
        except OSError as error:
            # It costs the next start the time, no more.
            log.warning("tuning.not_kept", file=str(self._file.path), error=error.strerror)

    def _identity(self, spec: ModelSpec, level: Level) -> str:
        libraries = (f"{name} {number}" for name, number in _libraries().items())
        model = f"{spec.name} {spec.weights_version}"
        parts = (hardware(self._device), _driver(), *libraries, platform.machine(), model, level.value)
        return " | ".join(parts)


def _driver() -> str:
    return f"cuda {torch.version.cuda}"


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _kept_stage(tuned: Tuned) -> KeptStage:
    trials = tuple(trial.written() for trial in tuned.trials)
    return KeptStage(modes=tuned.modes, images=tuned.images, trials=trials)


def _tuning(kept: Kept | None) -> Tuning | None:
    """Return what was kept, or nothing where its trials are not what this version writes."""
    if kept is None:
        return None
    try:
        text, denoise, decode = (_tuned(stage) for stage in (kept.text, kept.denoise, kept.decode))
    except TypeError:
        return None
    return Tuning(text, denoise, decode, kept.level, kept.found_at)


def _tuned(kept: KeptStage) -> Tuned:
    return Tuned(kept.modes, kept.images, tuple(Trial(**trial) for trial in kept.trials))


def _log(trial: Trial) -> None:
    """Say what became of a mode, by name."""
    log.info("mode.tried", **trial.written())
