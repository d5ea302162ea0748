"""What the device could do: the bare loop of forward passes (R), its arithmetic, the device's own peak."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from worker.engine.arguments import call_arguments
from worker.engine.loading import LoadedModel
from worker.engine.request import ImageRequest
from worker.engine.rows.families.family import RowFamily

REPEATS = 5


@dataclass(frozen=True)
class Ceiling:
    """Of one kind of request at one batch."""

    rows: int
    forward_s: float
    """One forward pass of so many rows."""
    decode_s: float
    """One image."""
    forward_flops: float
    peak_flops_per_s: float
    """Measured with large matrices, in the model's own data type."""
    ticks: int
    """Forward passes of one image."""

    @property
    def images_per_s(self) -> float:
        """R: nothing but forward passes of the denoiser, one after the other."""
        return self.rows / (self.forward_s * self.ticks)

    def share_of_peak(self, images_per_s: float) -> float:
        """Return the share of the device's peak at which the denoiser's arithmetic is done."""
        return images_per_s * self.ticks * self.forward_flops / self.rows / self.peak_flops_per_s


@torch.inference_mode()
def measure(model: LoadedModel, family: RowFamily, request: ImageRequest, rows: int) -> Ceiling:
    """Measure the ceiling for requests like this."""
    arguments = call_arguments(model, request)
    batch = [family.prepare(arguments, seed) for seed in range(rows)]
    device = batch[0].latents.device
    with FlopCounterMode(display=False) as counter:
        family.predict(batch)
    return Ceiling(
        rows=rows,
        forward_s=_seconds(lambda: family.predict(batch), device),
        decode_s=_seconds(lambda: family.decode(batch[0]), device),
        forward_flops=float(counter.get_total_flops()),
        peak_flops_per_s=peak_flops_per_s(device, batch[0].latents.dtype),
        ticks=len(batch[0].timesteps),
    )


def peak_flops_per_s(device: torch.device, dtype: torch.dtype) -> float:
    """Return what the device reaches with square matrices, in floating point operations a second."""
    side = 8192 if device.type == "cuda" else 2048
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / _seconds(lambda: left @ right, device)


def memory_gib(device: torch.device) -> float:
    """Return the most memory that was in use: the device's, or on a CPU this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the shortest of some runs."""
    times = []
    for _ in range(REPEATS):
        began_at = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began_at)
    return min(times)
