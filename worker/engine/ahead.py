"""Tunes models ahead of time: what a worker would do when it first loads one, with somebody looking on."""

from collections.abc import Callable
from pathlib import Path

import torch

from shared.catalogue import ModelSpec
from shared.errors import CatalogueError
from worker.engine.models.arguments import Call, call_arguments, first_request
from worker.engine.models.devices import describe, pick_device
from worker.engine.models.loading import load
from worker.engine.request import TuningChoice
from worker.engine.rows.caps import Caps
from worker.engine.rows.families.registry import adapt
from worker.engine.rows.tuning import Tuning, Tunings
from worker.engine.stages.tuner import Trial


class Ahead:
    """Tunes models for a device without serving them."""

    def __init__(self, device: str, choice: TuningChoice, tunings: Tunings | None = None) -> None:
        """Load nothing yet.

        Args:
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            choice: how far models are tuned, and the file that keeps what is found.
            tunings: finds it; by default what a worker would take.

        Raises:
            ConfigurationError: there is no such device.
        """
        self._device = pick_device(device)
        self._tunings = tunings or Tunings(self._device, Caps(self._device), choice)
        self.device_name = describe(self._device)
        self.can_tune = self._device.type != "cpu"
        """Whether there is anything to tune: on a CPU models run as they are."""

    def kept(self, spec: ModelSpec) -> Tuning | None:
        """Return what was found before, if a worker would use it."""
        return self._tunings.kept(spec)

    def tune(
        self,
        spec: ModelSpec,
        folder: Path,
        tell: Callable[[Trial], object],
        *,
        plan: Callable[[int], object] = lambda _: None,
        again: bool = False,
    ) -> Tuning:
        """Load a model and find how it runs fastest; it is kept.

        Args:
            spec: the model.
            folder: of its weights.
            tell: is told of each trial as it ends.
            plan: is told before the first how many there will be.
            again: find it anew where it is known.

        Raises:
            CatalogueError: the model cannot be loaded, or can only be run whole.
        """
        # As on the engine's thread.
        with torch.inference_mode():
            model = load(spec, folder, self._device)
            family = adapt(model)
            if family is None:
                msg = f"model {spec.name!r} cannot be tuned: its pipeline, {spec.family}, is run whole"
                raise CatalogueError(msg)

            def call(words: str) -> Call:
                return call_arguments(model, first_request(spec, words))

            return self._tunings.tune(family, call, tell, plan=plan, again=again)
