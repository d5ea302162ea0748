"""When the previews of a row are due, and what they show: the clean latents that it is heading for."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import torch

from worker.engine.rows.clean import clean_latents
from worker.engine.rows.row import Row


class Shot(NamedTuple):
    """What one preview shows."""

    partial: int
    """Which preview of its image, from 0."""
    latents: torch.Tensor
    """Shaped as the row's."""


class Previews:
    """The previews of one row. At most one is on its way: the next is taken when that has arrived."""

    def __init__(self, steps: Sequence[int] = ()) -> None:
        """Begin with all of them to come.

        Args:
            steps: after how many steps each is due.
        """
        self._due = deque(enumerate(steps))
        self._taken: Shot | None = None
        self._under_way = False

    def look(self, row: Row, prediction: torch.Tensor) -> None:
        """Take the next preview if it is due now. Called before the row advances by the prediction."""
        is_last = row.ticked + 1 >= len(row.timesteps)
        done = row.steps_after(row.ticked + 1)
        if is_last or self._under_way or not self._due or self._due[0][1] > done:
            return
        # Whatever may be wrong with a preview, the image is not to suffer from it.
        with suppress(Exception):
            latents = clean_latents(row, prediction)
            if latents is not None:
                self._taken = Shot(self._next(done), latents)

    def start(self) -> Shot | None:
        """Return what was taken at the last tick, if anything; then it is on its way."""
        shot, self._taken = self._taken, None
        self._under_way = self._under_way or shot is not None
        return shot

    def arrive(self) -> None:
        """Note that the one on its way has arrived, or never will."""
        self._under_way = False

    def _next(self, done: int) -> int:
        """Return which preview this is: the last that is due; what was due before it came too late."""
        partial, _ = self._due.popleft()
        while self._due and self._due[0][1] <= done:
            partial, _ = self._due.popleft()
        return partial


def preview_steps(steps: int, count: int) -> tuple[int, ...]:
    """Return after which steps so many previews are due: evenly spaced, one a step, never the last."""
    at = {round(steps * (i + 1) / (count + 1)) for i in range(count)}
    return tuple(sorted(at - {0, steps}))
