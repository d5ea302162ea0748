"""Keeps child processes running and stops them in order.

Everything happens in the caller's thread, which calls `watch` again and again: a child lives only as long as
the thread that started it (see `cli.leash`), so there is no thread of our own.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cli.processes import Child, stop_together
from cli.signals import never

FIRST_RESTART_S: Final = 0.5
LAST_RESTART_S: Final = 30.0
HEALTHY_AFTER_S: Final = 30.0
STOP_GRACE_S: Final = 10.0

Say = Callable[[str, Path | None], None]


class _Watched:
    """A child, and when it may be started again."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.delay_s = FIRST_RESTART_S
        self.restart_at: float | None = None

    def schedule(self, now: float) -> float:
        """Choose when to start again; longer each time, unless it had run well for a while."""
        if now - self.child.started_at > HEALTHY_AFTER_S:
            self.delay_s = FIRST_RESTART_S
        wait_s = self.delay_s
        self.restart_at = now + wait_s
        self.delay_s = min(2 * wait_s, LAST_RESTART_S)
        return wait_s


class Supervisor:
    """Groups of children; a group that was started later is stopped first.

    Args:
        say: Called with a line for the user whenever a child died (then with its log) or was started again.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._groups: list[list[_Watched]] = []

    def start(self, *children: Child) -> None:
        """Start children as one group, unless they run already."""
        self._groups.append([_Watched(child) for child in children])
        for child in children:
            if not child.running:
                child.start()

    def dead(self) -> Child | None:
        """A child that has ended, if there is one."""
        return next((watched.child for watched in self._all() if not watched.child.running), None)

    def watch(self) -> None:
        """Take notice of children that died, and start those again whose time has come."""
        now = time.monotonic()
        for watched in self._all():
            if watched.child.running:
                continue
            if watched.restart_at is None:
                self._announce(watched, watched.schedule(now))
            elif now >= watched.restart_at:
                watched.restart_at = None
                watched.child.start()
                self._say(f"{watched.child.program.name} was started again", None)

    def stop(self, hurry: Callable[[], bool] = never, grace_s: float = STOP_GRACE_S) -> None:
        """Stop every child, the latest group first."""
        while self._groups:
            stop_together([watched.child for watched in self._groups[-1]], grace_s, hurry)
            self._groups.pop()

    def _all(self) -> list[_Watched]:
        return [watched for group in self._groups for watched in group]

    def _announce(self, watched: _Watched, wait_s: float) -> None:
        child = watched.child
        self._say(
            f"{child.program.name} {child.end_in_words()}; starting it again in {wait_s:g} s",
            child.program.log,
        )
