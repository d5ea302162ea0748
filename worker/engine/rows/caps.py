"""How many rows one forward pass takes: found by tuning a model on a GPU, one on a CPU.

A CPU computes two images in no less time than one after the other, so there it is 1 and a lone request is
never slowed down by another. Other sizes than the native one get as many rows as make the same number of
pixels.
"""

from typing import Final

import torch

from shared.catalogue import ModelSpec
from worker.engine.rows.buckets import Key

MOST_ROWS: Final = 32


class Caps:
    """The cap of each bucket."""

    def __init__(self, device: torch.device, *, fixed: int | None = None) -> None:
        """Begin with nothing known.

        Args:
            device: on a CPU the cap is 1.
            fixed: the cap of every bucket, whatever is found.
        """
        self._fixed = 1 if fixed is None and device.type == "cpu" else fixed
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

    def learn(self, spec: ModelSpec, rows: int) -> None:
        """Note how many rows of a model's native size are best."""
        self._native[spec.name] = (rows, spec.sizes.native_area_px)
