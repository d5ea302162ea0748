"""Which models are on the device now: the one asked for, and others while there is room."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import torch

from shared.catalogue import ModelSpec
from shared.errors import GenerationFailed
from worker.engine.models.devices import memory_bytes, release_memory
from worker.engine.models.loading import LoadedModel, Source, load

A = TypeVar("A")
"""What draws with a model."""

ROOM = 0.9
"""The share of the device's memory that models may fill; the rest is for everything else."""


class Residents(Generic[A]):
    """Loads models when they are needed and drops the one unused for longest when room is short."""

    def __init__(
        self,
        specs: Mapping[str, tuple[ModelSpec, Source]],
        device: torch.device,
        adapt: Callable[[LoadedModel], A],
        room_bytes: int | None = None,
    ) -> None:
        """Begin with none on the device.

        Args:
            specs: the models by name, each with where it comes from.
            device: where they go.
            adapt: makes what draws with a loaded model.
            room_bytes: what models may fill; by default most of the device's memory.
        """
        self.device = device
        self._room_bytes = room_bytes if room_bytes is not None else int(ROOM * memory_bytes(device))
        self._specs = specs
        self._adapt = adapt
        self._weights_bytes: dict[str, int] = {}
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._adapters: dict[str, A] = {}

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
            spec, source = self._specs[name]
            self._make_room(spec.memory_bytes)
            model = load(spec, source, self.device)
            self._loaded[name], self._adapters[name] = model, self._adapt(model)
            self._weights_bytes[name] = model.weights_bytes()
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def adapter(self, name: str) -> A:
        """Return what draws with a model on the device."""
        return self._adapters[name]

    def names(self) -> tuple[str, ...]:
        """Return the models on the device, the one unused for longest first."""
        return tuple(self._loaded)

    def _make_room(self, wanted_bytes: int) -> None:
        """Drop models until one more fits with all that it needs for drawing.

        The others need only the room of their weights, which was measured: one model draws at a time.
        """
        while self._loaded and self._filled_bytes() + wanted_bytes > self._room_bytes:
            name, _ = self._loaded.popitem(last=False)
            del self._adapters[name]
            release_memory(self.device)

    def _filled_bytes(self) -> int:
        return sum(self._weights_bytes[name] for name in self._loaded)
