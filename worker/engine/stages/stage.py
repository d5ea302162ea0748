"""One stage of a loaded model, as the tuner sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from worker.engine.stages.graphs import Graphs


class Run(Protocol):
    """Does a stage."""

    def __call__(self, images: int, first: int = 0) -> Sequence[torch.Tensor]:
        """Return what the next stage reads of so many images, out of always the same ones."""


@dataclass(eq=False)
class Stage:
    """What computes a stage, and a way to run it.

    Attributes:
        name: ``text``, ``denoise`` or ``decode``.
        module: what computes it.
        run: runs it in the mode in which it is.
        graphs: the recordings of its parts whose runs have fixed shapes.
        exact: returns what ``run(1)`` would in float32; None where that cannot be computed.
    """

    name: str
    module: torch.nn.Module
    run: Run
    graphs: Sequence[Graphs[Any]] = ()
    exact: Callable[[], Sequence[torch.Tensor]] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return next(self.module.parameters()).dtype
