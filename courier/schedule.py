"""When a delivery that failed is tried again."""

import random
from collections.abc import Callable
from typing import Final

from shared.settings import WebhookSettings

_JITTER: Final = 0.2
_MOST_DOUBLINGS: Final = 40


def pause_s(
    attempts: int,
    retry_after_s: float | None,
    settings: WebhookSettings,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Return the pause before the next try: twice as long each time, up to a longest one.

    A fifth more or less by chance, so that what failed together does not come together again. What the
    receiver asked for is granted, up to the longest pause.

    Args:
        attempts: tries so far, 1 or more.
        retry_after_s: what the receiver asked for.
        settings: the first and the longest pause.
        uniform: chooses between two numbers.
    """
    doubled: float = settings.first_pause_s * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS)
    pause = min(doubled, settings.longest_pause_s) * uniform(1 - _JITTER, 1 + _JITTER)
    return max(pause, min(retry_after_s or 0.0, settings.longest_pause_s))
