"""How many steps an edit has that begins with its picture, made noisy: it takes the last of a schedule."""

from typing import Final

LEAST_TAKEN: Final = 2
"""Fewer make little of a picture, where the model takes as many at all."""
MOST_SCHEDULED: Final = 200
"""As many as an entry may say."""


def scheduled(steps: int, strength: float) -> int:
    """Return how many steps the schedule has of an edit of this strength, 0 to 1.

    Those of its quality, of which it takes the last ``int(steps * strength)``, as diffusers' pipelines do.
    Where those would be fewer than two, the schedule has as many more as make them two; or one, for a quality
    of one step. Not more than that: distilled models know few timesteps, those of their own schedule.

    Args:
        steps: of its quality.
        strength: how much of the picture is drawn anew.
    """
    least = min(steps, LEAST_TAKEN)
    # Counted and not divided: 49 * (1 / 49) is less than 1.
    enough = (each for each in range(steps, MOST_SCHEDULED) if int(each * strength) >= least)
    return next(enough, max(steps, MOST_SCHEDULED))


def taken(steps: int, strength: float) -> int:
    """Return how many steps of a schedule an edit of this strength takes: one at least, the last ones."""
    return max(1, min(int(steps * strength), steps))
