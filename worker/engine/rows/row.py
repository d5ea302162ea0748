"""One image being denoised."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from worker.engine.beside.texts import Entry


@dataclass(frozen=True, eq=False)
class Known:
    """The part of an image that is known, as it is kept while the rest is drawn.

    Attributes:
        latents: of the whole picture, without noise; shaped as the row's.
        noise: what is mixed with them on the way; likewise.
        mask: 0 where the picture is kept, 1 where it is drawn anew; of a shape that fits.
    """

    latents: torch.Tensor
    noise: torch.Tensor
    mask: torch.Tensor

    def mixed(self, drawn: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Return what was drawn, and around it what is kept."""
        return (1 - self.mask) * kept + self.mask * drawn


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
    """Denoising steps that it takes."""
    width: int
    height: int
    text_class: int
    """Rows share a forward pass only with rows of the same."""
    step_arguments: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What its family needs besides, such as position ids."""
    references: tuple[tuple[int, int], ...] = ()
    """Width and height in pixels of each picture that its denoiser looks at meanwhile."""
    known: Known | None = None
    """What of it is kept."""
    ticked: int = 0
    skipped: int = 0
    """Ticks of its scheduler's schedule that it leaves out: it begins with less than pure noise."""

    def skip(self, steps: int) -> None:
        """Leave out its first steps. None has been taken yet."""
        self.skipped = steps * self.scheduler.order
        self.timesteps = self.timesteps[self.skipped :]
        self.steps -= steps
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(self.skipped)

    @property
    def place(self) -> int:
        """The place of its next tick in its scheduler's schedule."""
        return self.skipped + self.ticked

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
        """How many of its steps are done."""
        return self.steps_after(self.ticked)

    def steps_after(self, ticks: int) -> int:
        """Return how many of its steps so many ticks make."""
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
        known = {} if self.known is None else vars(self.known)
        for values in (*self.entries, self.extras, known):
            yield from (value for value in values.values() if isinstance(value, torch.Tensor))
