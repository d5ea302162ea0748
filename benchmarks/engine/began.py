"""When the process began: imported before all that is slow to import, so that budgets count that too."""

import time
from typing import Final

BEGAN_AT: Final = time.monotonic()


def seconds_since() -> float:
    """Return how long the process has run."""
    return time.monotonic() - BEGAN_AT
