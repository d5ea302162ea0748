"""Which models are on the device now: the one asked for, and others while there is room."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch

from shared.catalogue import ModelSpec
from shared.errors import GenerationFailed
from worker.engine.devices import memory_bytes, release_memory
from worker.engine.loading import LoadedModel, load

ROOM = 0.9
"""The share of the device's memory that models may fill; the rest is for everything else."""


class Residents:
    """Loads models when they are needed and drops the one unused for longest when room is short."""

    def __init__(self, specs: Mapping[str, tuple[ModelSpec, Path]], device: torch.device) -> None:
        self._specs = specs
        self._device = device
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()

    def get(self, name: str) -> LoadedModel:
        """Return a model, loading it if need be.

        Raises:
            GenerationFailed: this engine does not serve the model.
            CatalogueError: its weights cannot be loaded.
        """
        if name not in self._loaded:
            if name not in self._specs:
                msg = f"this worker does not serve model {name!r}"
                raise GenerationFailed(msg)
            spec, folder = self._specs[name]
            self._make_room(spec.memory_bytes)
            self._loaded[name] = load(spec, folder, self._device)
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def names(self) -> tuple[str, ...]:
        """Return the models on the device, the one unused for longest first."""
        return tuple(self._loaded)

    def _make_room(self, wanted_bytes: int) -> None:
        room_bytes = ROOM * memory_bytes(self._device)
        while self._loaded and self._filled_bytes() + wanted_bytes > room_bytes:
            self._loaded.popitem(last=False)
            release_memory(self._device)

    def _filled_bytes(self) -> int:
        return sum(model.spec.memory_bytes for model in self._loaded.values())
