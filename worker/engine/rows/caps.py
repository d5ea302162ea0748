"""How many rows one forward pass takes: measured for each model on a GPU, one on a CPU.

A CPU computes two images in no less time than one after the other, so there it is 1 and a lone job is never
slowed down by another. Elsewhere the batch is doubled until that no longer pays; what was found is kept in a
file, for the next start. Other sizes than the native one get as many rows as make the same number of pixels.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import torch

from worker.engine.devices import describe, release_memory
from worker.engine.failures import is_out_of_memory
from worker.engine.rows.buckets import Key
from worker.engine.rows.families.family import Call, RowFamily

MOST_ROWS: Final = 32
PAYS: Final = 1.05
"""A doubled batch must give at least so many times the images a second."""
REPEATS: Final = 3


class Caps:
    """The cap of each bucket."""

    def __init__(self, device: torch.device, *, fixed: int | None = None, file: Path | None = None) -> None:
        """Begin with what an earlier run has measured.

        Args:
            device: on a CPU the cap is 1.
            fixed: the cap of every bucket, instead of measuring.
            file: where measured caps are kept; by default they are not.
        """
        self._fixed = 1 if fixed is None and device.type == "cpu" else fixed
        self._device = device
        self._file = file
        self._native: dict[str, tuple[int, int]] = {}
        self._lowered: dict[Key, int] = {}

    def of(self, key: Key) -> int:
        """Return how many rows of a key one pass takes, at least 1."""
        if self._fixed is not None:
            cap = self._fixed
        else:
            rows, area_px = self._native.get(key.model, (1, key.area_px))
            cap = min(MOST_ROWS, max(1, rows * area_px // key.area_px))
        return min(cap, self._lowered.get(key, cap))

    def halve(self, key: Key, rows: int) -> None:
        """Note that so many rows of a key were too many for the memory."""
        self._lowered[key] = max(1, rows // 2)

    def measure(self, family: RowFamily, call: Callable[[], Call]) -> None:
        """Find a model's cap at its native size, unless it is known or fixed."""
        spec = family.model.spec
        if self._fixed is not None or spec.name in self._native:
            return
        known = self._read()
        identity = (
            f"{describe(self._device)} torch {torch.__version__} {spec.name} {spec.weights} {spec.dtype}"
        )
        if identity not in known:
            known[identity] = best_batch(family, call(), lambda: _synchronised(self._device))
            self._write(known)
        self._native[spec.name] = (known[identity], spec.sizes.native_area_px)

    def _read(self) -> dict[str, int]:
        try:
            kept = json.loads(self._file.read_bytes()) if self._file is not None else {}
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def _write(self, caps: dict[str, int]) -> None:
        if self._file is None:
            return
        # A file that cannot be written costs the next start a few seconds, no more.
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(caps, indent=2), encoding="utf-8")


def best_batch(family: RowFamily, call: Call, clock: Callable[[], float]) -> int:
    """Return the batch after which doubling no longer pays, or no longer fits.

    Args:
        family: of the model to measure.
        call: what to draw.
        clock: seconds, read when the device has done all it was told to.
    """
    best, images_per_s = 1, 0.0
    rows = [family.prepare(call, 0)]
    while len(rows) <= MOST_ROWS:
        try:
            seconds = _seconds(partial(family.predict, rows), clock)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            release_memory(rows[0].latents.device)
            break
        if len(rows) / seconds < images_per_s * PAYS:
            break
        best, images_per_s = len(rows), len(rows) / seconds
        rows = [family.prepare(call, seed) for seed in range(2 * len(rows))]
    return best


def _seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    run()
    started_at = clock()
    for _ in range(REPEATS):
        run()
    return max(clock() - started_at, 1e-9) / REPEATS


def _synchronised(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()
