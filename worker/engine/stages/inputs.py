"""What one run of a stage is given: tensors by name, of which some have an entry for each image."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Shape = Hashable
"""What must be equal for two runs to be one computation over other numbers."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """The arguments of one run.

    Attributes:
        batched: (entries, …) each, at least one of them.
        shared: what is the same for all entries: tensors, such as position ids, and plain values.
    """

    batched: Mapping[str, torch.Tensor]
    shared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """How many entries there are."""
        return len(next(iter(self.batched.values())))

    @property
    def shape(self) -> Shape:
        """Everything but the numbers, and how many entries there are."""
        entry = tuple((name, tuple(each.shape[1:]), each.dtype) for name, each in self.batched.items())
        return entry, tuple((name, _shape(value)) for name, value in self.shared.items())

    def padded(self, entries: int) -> "Inputs":
        """Return as many entries as asked for; those that are added repeat the last."""
        missing = entries - self.entries
        if missing == 0:
            return self
        batched = {
            name: torch.cat([each, each[-1:].expand(missing, *each.shape[1:])])
            for name, each in self.batched.items()
        }
        return Inputs(batched, self.shared)

    def tensors(self) -> list[torch.Tensor]:
        """Return every tensor, always in the same order."""
        shared = [value for value in self.shared.values() if isinstance(value, torch.Tensor)]
        return [*self.batched.values(), *shared]

    def cloned(self) -> "Inputs":
        """Return the same with tensors of its own."""
        shared = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in self.shared.items()}
        return Inputs({name: each.clone() for name, each in self.batched.items()}, shared)


def _shape(value: Any) -> Hashable:  # noqa: ANN401 - whatever a denoiser takes
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.dtype
    return repr(value)
