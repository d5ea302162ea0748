"""The copies of one model that contenders draw with: none is changed by what makes another one fast.

What is shared takes no memory twice. B0 and B1 call the pipeline as it is loaded; B2's adapter stands in for
the forward of text encoders that are its own as objects, with the same weights; the engine changes layouts,
blocks and attention in place, so all its modules are its own, and so are the denoiser and autoencoder of B3.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from benchmarks.engine.photograph import Photograph
from worker.engine.models.loading import LoadedModel
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.registry import adapt

Copying = Callable[[torch.nn.Module], torch.nn.Module]


@dataclass(frozen=True)
class Copies:
    """One model as each contender has it; they share the place at which pictures are handed out."""

    stock: LoadedModel
    """As it was loaded; nobody changes it."""
    photograph: Photograph

    def engines(self) -> LoadedModel:
        """Return one with modules of its own, to be tuned."""
        return _with(self.stock, copy.deepcopy, lambda _: True)

    def stepped(self) -> RowFamily:
        """Return a plain adapter of the stock weights.

        Raises:
            SystemExit: the pipeline has none.
        """
        model = _with(self.stock, copy.copy, _reads)
        family = adapt(model)
        if family is None:
            message = f"{model.spec.family} has no row adapter: there is nothing to compare"
            raise SystemExit(message)
        return family

    def guided(self) -> LoadedModel:
        """Return one whose denoiser and autoencoder are its own, for B3."""
        own = _with(self.stock, copy.deepcopy, lambda name: not _reads(name))
        return _with(own, copy.copy, _reads)


def _with(model: LoadedModel, copying: Copying, whose: Callable[[str], bool]) -> LoadedModel:
    pipeline = copy.copy(model.pipeline)
    for name, part in model.pipeline.components.items():
        if isinstance(part, torch.nn.Module) and whose(name):
            setattr(pipeline, name, copying(part))
    return replace(model, pipeline=pipeline)


def _reads(name: str) -> bool:
    return name.startswith("text_encoder")
