"""Signs of life of the engine's thread, for those who watch it from other threads."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Life:
    """When the engine was last seen working, whether it is reading weights, and whether it is to stop."""

    def __init__(self) -> None:
        self.last_tick_at = time.monotonic()
        self.loading = False
        """Whether it reads weights now: that may take minutes and shows no sign of life."""
        self.rows = 0
        """How many rows its last forward pass took; 0 while there is nothing to draw."""
        self.closing = threading.Event()

    def tick(self) -> None:
        """Show a sign of life."""
        self.last_tick_at = time.monotonic()

    @contextmanager
    def while_loading(self) -> Iterator[None]:
        """Say that weights are being read."""
        self.loading = True
        try:
            yield
        finally:
            self.tick()
            self.loading = False
