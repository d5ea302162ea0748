"""Which models are on the device now: the one asked for, and others while there is room."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch

from shared.catalogue import ModelSpec
from shared.errors import GenerationFailed
from worker.engine.devices import memory_bytes, release_memory
from worker.engine.loading import LoadedModel, load
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.registry import adapt

ROOM = 0.9
"""The share of the device's memory that models may fill; the rest is for everything else."""


class Residents:
    """Loads models when they are needed and drops the one unused for longest when room is short."""

    def __init__(
        self,
        specs: Mapping[str, tuple[ModelSpec, Path]],
        device: torch.device,
        room_bytes: int | None = None,
    ) -> None:
        """Begin with none on the device.

        Args:
            specs: the models by name, each with the folder of its weights.
            device: where they go.
            room_bytes: what models may fill; by default most of the device's memory.
        """
        self.device = device
        self._room_bytes = room_bytes if room_bytes is not None else int(ROOM * memory_bytes(device))
        self._specs = specs
        self._weights_bytes: dict[str, int] = {}
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._families: dict[str, RowFamily | None] = {}

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
            model = load(spec, folder, self.device)
            self._loaded[name], self._families[name] = model, adapt(model)
            self._weights_bytes[name] = model.weights_bytes()
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def family(self, name: str) -> RowFamily | None:
        """Return the row adapter of a model on the device, or nothing where its pipeline runs whole."""
        return self._families[name]

    def names(self) -> tuple[str, ...]:
        """Return the models on the device, the one unused for longest first."""
        return tuple(self._loaded)

    def _make_room(self, wanted_bytes: int) -> None:
        """Drop models until one more fits with all that it needs for drawing.

        The others need only the room of their weights, which was measured: one model draws at a time.
        """
        while self._loaded and self._filled_bytes() + wanted_bytes > self._room_bytes:
            name, _ = self._loaded.popitem(last=False)
            del self._families[name]
            release_memory(self.device)

    def _filled_bytes(self) -> int:
        return sum(self._weights_bytes[name] for name in self._loaded)
