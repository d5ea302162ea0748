"""One image being denoised."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from worker.engine.beside.texts import Entry


@dataclass
class Row:
    """One image: its latents, what they are conditioned on, and the scheduler that leads them."""

    scheduler: Any
    """Its own: schedulers remember the steps they took."""
    timesteps: torch.Tensor
    """(ticks,), on the device; a scheduler of a higher order takes several ticks a step."""
    latents: torch.Tensor
    """(1, channels, height / 8, width / 8), or packed as the family packs them."""
    entries: tuple[Entry, ...]
    """One, or two where it is guided; each row contributes so many entries to the batch."""
    guidance: float
    steps: int
    """Denoising steps that were asked for."""
    width: int
    height: int
    text_class: int
    """Rows share a forward pass only with rows of the same."""
    step_arguments: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What its family needs besides, such as position ids."""
    ticked: int = 0

    @property
    def timestep(self) -> torch.Tensor:
        """The timestep of its next tick; a scalar."""
        return self.timesteps[self.ticked]

    @property
    def is_done(self) -> bool:
        """Whether only its decoding is left."""
        return self.ticked >= len(self.timesteps)

    @property
    def steps_done(self) -> int:
        """How many of the asked steps are done."""
        return self.steps_after(self.ticked)

    def steps_after(self, ticks: int) -> int:
        """Return how many of the asked steps so many ticks make."""
        return min(ticks * self.steps // len(self.timesteps), self.steps)

    def in_float32(self) -> "Row":
        """Return the same in full precision."""
        entries = tuple(
            {name: value.float() if value.is_floating_point() else value for name, value in entry.items()}
            for entry in self.entries
        )
        return replace(self, latents=self.latents.float(), entries=entries)

    def tensors(self) -> Iterator[torch.Tensor]:
        """Return every tensor that its preparation made."""
        yield self.latents
        yield self.timesteps
        for values in (*self.entries, self.extras):
            yield from (value for value in values.values() if isinstance(value, torch.Tensor))
