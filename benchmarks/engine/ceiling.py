"""What the device could do: the device limit, the bare loop of forwards (R), the arithmetic, the peak."""

import resource
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.engine.timing import best_batch, seconds_of
from worker.engine.models.arguments import Call
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.staging import stages_of
from worker.engine.stages.stage import Stage

DATASHEET_TFLOPS: Final = {
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H200": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
}
"""Dense bf16 by a part of the device's name, the first that fits. Source: NVIDIA's datasheets."""


@dataclass(frozen=True)
class StageTime:
    """How long a stage takes.

    Attributes:
        stage: ``text``, ``denoise`` or ``decode``.
        alone_s: seconds of one image alone.
        images: how many together are best.
        best_s: seconds an image then.
        runs: of an image; the denoiser has one a tick.
    """

    stage: str
    alone_s: float
    images: int
    best_s: float
    runs: int


@dataclass(frozen=True)
class Limit:
    """What the device allows for one kind of request: its three stages one after the other, nothing else."""

    width: int
    height: int
    stages: tuple[StageTime, ...]

    @property
    def images_per_s(self) -> float:
        """The device limit: every stage in the modes in which it is, at its best batch."""
        return 1 / sum(each.best_s * each.runs for each in self.stages)

    @property
    def forwards_images_per_s(self) -> float:
        """R: nothing but forward passes of the denoiser."""
        return 1 / sum(each.best_s * each.runs for each in self.stages if each.stage == "denoise")

    @property
    def alone_s(self) -> float:
        """Seconds of the device's work for a request that is alone."""
        return sum(each.alone_s * each.runs for each in self.stages)

    @property
    def said(self) -> str:
        """It in words."""
        parts = ", ".join(
            f"{each.stage} {1e3 * each.best_s:.2f} ms{f' x {each.runs}' if each.runs > 1 else ''} "
            f"in batches of {each.images} (alone {1e3 * each.alone_s:.2f})"
            for each in self.stages
        )
        return (
            f"device limit at {self.width}x{self.height}: {self.images_per_s:.3f} images/s; "
            f"R, the bare loop of forwards: {self.forwards_images_per_s:.3f} ({parts})"
        )


@torch.inference_mode()
def limit(family: RowFamily, call: Callable[[str], Call], most: int) -> Limit:
    """Measure the stages of a model in the modes in which they are.

    Args:
        family: of the model.
        call: returns what to draw for a prompt; all of one size.
        most: images that are tried together.
    """
    row = family.prepare(call("one"), 0)

    def timed(stage: Stage) -> StageTime:
        runs = len(row.timesteps) if stage.name == "denoise" else 1
        found = best_batch(stage.run, family.device, most)
        return StageTime(stage.name, found.alone_s, found.images, found.best_s, runs)

    return Limit(row.width, row.height, tuple(map(timed, stages_of(family, call))))


@dataclass(frozen=True)
class Arithmetic:
    """Floating-point operations of an image in all three stages, and how many a second the device does."""

    flops: dict[str, float]
    """By stage, of an image."""
    measured_flops_per_s: float
    """With large matrices, in the model's own data type."""
    datasheet_flops_per_s: float | None

    def shares(self, images_per_s: float) -> tuple[float, float | None]:
        """Return the shares of the measured peak and of the datasheet's at so many images a second."""
        done = images_per_s * sum(self.flops.values())
        datasheet = self.datasheet_flops_per_s
        return done / self.measured_flops_per_s, done / datasheet if datasheet else None

    @property
    def said(self) -> str:
        """It in words."""
        parts = ", ".join(f"{stage} {flops / 1e12:.3g}" for stage, flops in self.flops.items())
        datasheet = self.datasheet_flops_per_s
        peak = f"{self.measured_flops_per_s / 1e12:.3g} TFLOP/s measured"
        also = (
            f"{datasheet / 1e12:.0f} by the datasheet" if datasheet else "the datasheet's is not known here"
        )
        return f"arithmetic of an image, TFLOP: {parts}; peak {peak}, {also}"


@torch.inference_mode()
def arithmetic(family: RowFamily, call: Callable[[str], Call], datasheet_tflops: float | None) -> Arithmetic:
    """Count and measure; of the text only what is read of it.

    Args:
        family: of the model in its plain form: what is recorded or compiled hides its operations.
        call: returns what to draw for a prompt.
        datasheet_tflops: the device's, where the name does not say it.
    """
    ticks = len(family.prepare(call("one"), 0).timesteps)
    flops = {}
    for stage in stages_of(family, call):
        flops[stage.name] = _counted(family, stage) * (ticks if stage.name == "denoise" else 1)
    device = family.device
    known = datasheet(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    tflops = datasheet_tflops or known
    peak = peak_flops_per_s(family.device, family.latents_dtype)
    return Arithmetic(flops, peak, 1e12 * tflops if tflops else None)


def _counted(family: RowFamily, stage: Stage) -> float:
    with ExitStack() as undoing:
        for mode in (mode for mode in family.text_modes() if mode.applies(stage)):
            undoing.callback(mode.undo, stage)
            mode.apply(stage)
        # The rows to run it on are made in the first run.
        stage.run(1)
        with FlopCounterMode(display=False) as counter:
            stage.run(1)
    return float(counter.get_total_flops())


def datasheet(name: str) -> float | None:
    """Return the TFLOP/s that the datasheet of a device of this name says, where it is known here."""
    return next((tflops for part, tflops in DATASHEET_TFLOPS.items() if part in name), None)


def peak_flops_per_s(device: torch.device, dtype: torch.dtype) -> float:
    """Return what the device reaches with square matrices, in floating point operations a second."""
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: left @ right, device)


def memory_gib(device: torch.device) -> float:
    """Return the most memory that was in use: the device's, or on a CPU this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
