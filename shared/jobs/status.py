"""The statuses of a job and every way from one to another: the one table."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended; a terminal status never changes."""
        return self in TERMINAL


TERMINAL: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True)
class Transition:
    """One edge: ``script`` moves a job from ``source`` to ``target``, at the wish of ``actor``."""

    source: Status | None
    target: Status
    script: str
    actor: str
    event: str


TRANSITIONS: Final = (
    Transition(None, Status.QUEUED, "submit", "caller", "job.submitted"),
    Transition(Status.QUEUED, Status.RUNNING, "claim", "worker", "attempt.started"),
    Transition(Status.QUEUED, Status.FAILED, "claim", "clock", "job.expired"),
    Transition(Status.RUNNING, Status.SUCCEEDED, "finish", "worker", "attempt.finished"),
    Transition(Status.RUNNING, Status.FAILED, "fail", "worker", "attempt.failed"),
    Transition(Status.RUNNING, Status.QUEUED, "fail", "worker", "attempt.requeued"),
    Transition(Status.QUEUED, Status.CANCELLED, "cancel", "caller", "job.cancelled"),
    Transition(Status.RUNNING, Status.CANCELLED, "cancel", "caller", "job.cancelled"),
    Transition(Status.RUNNING, Status.QUEUED, "reap", "reaper", "attempt.lost"),
    Transition(Status.RUNNING, Status.FAILED, "reap", "reaper", "job.lost"),
    Transition(Status.QUEUED, Status.FAILED, "reap", "clock", "job.expired"),
    Transition(Status.QUEUED, Status.CANCELLED, "reap", "clock", "job.abandoned"),
    Transition(Status.RUNNING, Status.CANCELLED, "reap", "clock", "job.abandoned"),
    Transition(Status.QUEUED, Status.CANCELLED, "release", "caller", "job.abandoned"),
    Transition(Status.RUNNING, Status.CANCELLED, "release", "caller", "job.abandoned"),
)


def allowed(source: Status | None, target: Status) -> bool:
    """Whether any script may move a job from ``source`` to ``target``."""
    return any(edge.source == source and edge.target == target for edge in TRANSITIONS)
