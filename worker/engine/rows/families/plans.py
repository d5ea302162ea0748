"""What rows of one size and number of steps have in common, and what is each one's own: its noise."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, NamedTuple

import torch

MOST_PLANS: Final = 64
"""Sizes times numbers of steps; a plan keeps a few kilobytes."""


class Noise(NamedTuple):
    """A row's first latents, or the noise that they get, on the CPU; what it draws all its noise from."""

    latents: torch.Tensor
    ids: torch.Tensor | None
    """Of the latents' places, where the pipeline gives them; they depend on the size only."""
    generator: torch.Generator
    sample: torch.Tensor | None = None
    """What picks the latents of a picture out of those that its autoencoder thinks likely."""


@dataclass(eq=False)
class Plan:
    """The timesteps of rows, (ticks,), on the device, and a scheduler that has been told them."""

    scheduler: Any
    timesteps: torch.Tensor
    _ids: torch.Tensor | None = field(default=None, init=False)

    def own_scheduler(self) -> Any:  # noqa: ANN401 - schedulers share no base class
        """Return the scheduler for one row: schedulers remember the steps they took.

        Tensors are not copied: they are the schedule, and what a step changes it replaces.
        """
        values = vars(self.scheduler).values()
        shared = {id(value): value for value in values if isinstance(value, torch.Tensor)}
        return copy.deepcopy(self.scheduler, shared)

    def ids_on(self, device: torch.device, ids: torch.Tensor | None) -> torch.Tensor | None:
        """Return ids on the device, where they are put once for all rows."""
        if self._ids is None and ids is not None:
            self._ids = ids.to(device)
        return self._ids


class Plans:
    """The plans that were used last. Several threads may ask."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Plan] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Plan]) -> Plan:
        """Return the plan of a key, making it if need be."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
                if len(self._kept) > MOST_PLANS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
