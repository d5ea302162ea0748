"""Tries a stage in the modes of its device, and keeps the fastest that agrees with its plain form."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

import torch

from worker.engine.failures import is_out_of_memory
from worker.engine.stages.agreement import EXACT, INEXACT, relative_error
from worker.engine.stages.graphs import Recorder
from worker.engine.stages.modes import Mode, Recorded
from worker.engine.stages.stage import Stage

PLAIN: Final = "plain"
"""What a stage without any mode is called."""
PAYS: Final = 1.05
"""A mode must make a stage so many times as fast: less is noise."""
DOUBLING_PAYS: Final = 1.05
"""A doubled batch must give at least so many times the images a second."""
APART: Final = 2**0.5
"""How far two results are apart that are equally far from the exact one, in different directions."""
MOST_IMAGES: Final = 32
REPEATS: Final = 3
MOST_REPEATS: Final = 20
MEASURED_S: Final = 0.1
"""The shortest time over which a stage is measured; short ones are repeated more often."""
LONG_S: Final = 0.5
"""A stage that takes longer is not repeated."""
SHAKEN_S: Final = 0.2
"""Of runs shorter than that one may be slow by chance, so a doubling that does not pay is not the last."""


@dataclass(frozen=True)
class Limits:
    """What is not tried: modes that take long, unless ``slow``; and any from ``ends_at`` on, by the clock."""

    ends_at: float
    slow: bool = True


@dataclass(frozen=True)
class Trial:
    """What became of a mode in a stage.

    Attributes:
        stage: ``text``, ``denoise`` or ``decode``.
        mode: its name; ``plain`` is the stage without any.
        ms: milliseconds an image, in the batch that is best for the plain form; None where it never ran.
        ratio: how many times as fast as before.
        error: the relative error against the plain form.
        kept: whether the stage runs in it.
        why: why not.
    """

    stage: str
    mode: str
    ms: float | None = None
    ratio: float | None = None
    error: float | None = None
    kept: bool = False
    why: str = ""

    def written(self) -> dict[str, Any]:
        """Return it as JSON can have it, which knows no infinite error."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Tuned:
    """How a stage runs: its modes in the order of their application, and how many images go together."""

    modes: tuple[str, ...]
    images: int
    trials: tuple[Trial, ...]


class Tuner:
    """Tunes one stage after the other, until the time is over."""

    def __init__(
        self,
        modes: Sequence[Mode],
        clock: Callable[[], float],
        *,
        limits: Limits,
        recorder: Recorder | None = None,
        release: Callable[[], object] = lambda: None,
        tell: Callable[[Trial], object] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            modes: in the order in which they are tried; each on top of those that were kept.
            clock: seconds, read when the device has done all it was told to.
            limits: of what is tried.
            recorder: of the device, where it has one.
            release: called where memory was short.
            tell: is told of each trial as it ends.
        """
        self._modes = modes
        self._clock = clock
        self._limits = limits
        self._recorder = recorder
        self._release = release
        self._tell = tell

    def planned(self, stage: Stage) -> tuple[str, ...]:
        """Return the names of the trials that there will be, of a stage that was not tuned yet."""
        recorded = () if self._recorder is None or not stage.graphs else (Recorded.name,)
        return (PLAIN, *(mode.name for mode in self._applying(stage)), *recorded)

    def tune(self, stage: Stage) -> Tuned:
        """Try every mode that applies; the stage is left in those that are kept."""
        modes = self._applying(stage)
        plain = [tensor.clone() for tensor in stage.run(1)]
        images = self._best_batch(stage)
        trying = _Trying(stage, plain, images, self._times(stage, images))
        trials = [Trial(stage.name, PLAIN, 1e3 * trying.seconds[-1] / images, 1.0, 0.0, kept=True)]
        self._tell(trials[0])
        trials += [self._try(mode, trying) for mode in modes]
        if trying.kept:
            images = 1 if trying.alone else self._best_batch(stage)
        if self._recorder is not None and stage.graphs:
            trying.images, trying.seconds = images, self._times(stage, images)
            trials.append(self._try(Recorded(self._recorder, powers_of_two(images)), trying))
        return Tuned(tuple(trying.kept), images, tuple(trials))

    def apply(self, stage: Stage, tuned: Tuned) -> None:
        """Put a stage into modes that were kept before.

        Raises:
            Exception: one of them cannot be applied any more; the stage is plain.
        """
        modes, applied = self._by_name(tuned), list[Mode]()
        try:
            for name in tuned.modes:
                applied.append(modes[name])
                modes[name].apply(stage)
            self._compile_now(stage, tuned, alone=any(mode.alone for mode in applied))
        except Exception:
            for mode in reversed(applied):
                mode.undo(stage)
            raise

    def undo(self, stage: Stage, tuned: Tuned) -> None:
        """Make a stage plain again that was put into modes."""
        modes = self._by_name(tuned)
        for name in reversed(tuned.modes):
            modes[name].undo(stage)

    def _by_name(self, tuned: Tuned) -> dict[str, Mode]:
        modes = {mode.name: mode for mode in self._modes}
        if self._recorder is not None:
            modes[Recorded.name] = Recorded(self._recorder, powers_of_two(tuned.images))
        return modes

    def _compile_now(self, stage: Stage, tuned: Tuned, *, alone: bool) -> None:
        """Run as a service will, once for one image and once for several."""
        stage.run(1)
        try:
            if not alone:
                stage.run(max(2, tuned.images))
        except Exception as error:
            # Of the native size one may be all that fits; of smaller ones several may.
            if not is_out_of_memory(error):
                raise
            self._release()

    def _applying(self, stage: Stage) -> list[Mode]:
        return [mode for mode in self._modes if mode.applies(stage)]

    def _try(self, mode: Mode, trying: "_Trying") -> Trial:
        trial = self._tried(mode, trying)
        self._tell(trial)
        if trial.kept:
            trying.kept.append(mode.name)
        return trial

    def _tried(self, mode: Mode, trying: "_Trying") -> Trial:
        stage = trying.stage
        if mode.slow and not self._limits.slow:
            return Trial(stage.name, mode.name, why="takes long: worker.tuning = full tries it")
        if self._clock() >= self._limits.ends_at:
            return Trial(stage.name, mode.name, why="the time was over")
        error = None
        try:
            mode.apply(stage)
            error = relative_error(stage.run(1), trying.plain)
            alone = mode.alone or trying.alone
            seconds = self._times(stage, trying.images, alone=alone)
        except Exception as raised:  # noqa: BLE001 - whatever it is, the mode is not for here
            mode.undo(stage)
            if is_out_of_memory(raised):
                self._release()
                return Trial(stage.name, mode.name, error=error, why="out of memory")
            return Trial(stage.name, mode.name, error=error, why=type(raised).__name__)
        ratio = trying.faster_by(seconds)
        bound = trying.bound if mode.exact else max(trying.bound, self._own_error(trying))
        why = _objection(error, bound, ratio)
        if why:
            mode.undo(stage)
        else:
            trying.seconds, trying.bound, trying.alone = seconds, bound, alone
        return Trial(stage.name, mode.name, 1e3 * seconds[-1] / trying.images, ratio, error, not why, why)

    def _own_error(self, trying: "_Trying") -> float:
        """Return how far a result that errs as much against float32 as the plain one may be from it."""
        stage = trying.stage
        if trying.own_error is None and stage.exact is not None:
            try:
                exact = [each.cpu() for each in stage.exact()]
                trying.own_error = APART * relative_error(trying.plain, exact)
            except Exception as error:  # noqa: BLE001 - what is usual will do
                if is_out_of_memory(error):
                    self._release()
        if trying.own_error is None:
            trying.own_error = INEXACT[stage.dtype]
        return max(EXACT, trying.own_error)

    def _best_batch(self, stage: Stage) -> int:
        """Return the number of images after which doubling no longer pays, or no longer fits."""
        best, images_per_s, images, looks_on = 1, 0.0, 1, True
        while images <= MOST_IMAGES:
            try:
                seconds = self._seconds(stage, images)
            except Exception as error:
                if not is_out_of_memory(error) or images == 1:
                    raise
                self._release()
                break
            if images / seconds >= images_per_s * DOUBLING_PAYS:
                best, images_per_s, looks_on = images, images / seconds, True
            elif not looks_on or seconds > SHAKEN_S:
                break
            else:
                looks_on = False
            images *= 2
        return best

    def _times(self, stage: Stage, images: int, *, alone: bool = False) -> tuple[float, ...]:
        """Return the seconds of one image, and of several together, or one by one."""
        if alone:
            one = self._seconds(stage, 1)
            return tuple(one * each for each in dict.fromkeys((1, images)))
        return tuple(self._seconds(stage, each) for each in dict.fromkeys((1, images)))

    def _seconds(self, stage: Stage, images: int) -> float:
        """Return the median of some runs, fewer where each takes long."""
        stage.run(images)
        took: list[float] = []
        while len(took) < MOST_REPEATS and sum(took) < (MEASURED_S if len(took) >= REPEATS else LONG_S):
            began_at = self._clock()
            stage.run(images)
            took.append(max(self._clock() - began_at, 1e-9))
        return median(took)


class _Trying:
    """A stage while it is tuned: what its plain form gave, how long it takes now, and what was kept."""

    def __init__(
        self, stage: Stage, plain: Sequence[torch.Tensor], images: int, seconds: tuple[float, ...]
    ) -> None:
        self.stage = stage
        self.plain = plain
        self.images = images
        self.seconds = seconds
        self.kept: list[str] = []
        self.alone = False
        """Whether a mode was kept that is for one image at a time."""
        self.own_error: float | None = None
        self.bound = EXACT
        """What the modes that were kept may err together: each is compared with the plain form."""

    def faster_by(self, seconds: tuple[float, ...]) -> float:
        """Return how many times as fast these are: one image and several count alike."""
        ratio = 1.0
        for before, now in zip(self.seconds, seconds, strict=True):
            ratio *= before / now
        return float(ratio ** (1 / len(seconds)))


def powers_of_two(most: int) -> tuple[int, ...]:
    """Return 1, 2, 4, … up to ``most``, and that itself."""
    return tuple(dict.fromkeys((*(1 << i for i in range(most.bit_length()) if 1 << i <= most), most)))


def _objection(error: float, bound: float, ratio: float) -> str:
    """Return why a mode is not kept; empty where it is."""
    if not error <= bound:
        return f"disagrees: {error:.1e}, at most {bound:.1e} is rounding"
    return "" if ratio >= PAYS else "no faster"
