"""An attempt, as a claim hands it to a worker, or as the reaper finds it when its worker was lost."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Attempt:
    """One try at a job: what a claim hands to a worker.

    ``token`` is the fence of every later write; ``losses`` counts the workers that this job has outlived;
    ``low``: it makes way for every job that is not.
    Instants are ms of Redis's clock; ``told_at`` is the one at which it answered, and ``heard_at`` the same
    moment by ``perf_counter``: what this process measures becomes Redis's time by the two.
    """

    job_id: str
    token: str
    number: int
    params: str
    deadline_at: int
    request_id: str
    losses: int
    trace: str = ""
    queued_at: int = 0
    claimed_at: int = 0
    low: bool = False
    told_at: int = field(default=0, compare=False)
    heard_at: float = field(default_factory=time.perf_counter, compare=False)

    @classmethod
    def parse(cls, row: Sequence[Any]) -> Self:
        """Read what ``claim.lua`` returned, just now."""
        job_id, token, number, params, deadline_at, request_id, losses, trace, *instants = row
        queued_at, claimed_at, told_at, low = instants
        return cls(
            job_id=job_id.decode(),
            token=token.decode(),
            number=number,
            params=params.decode(),
            deadline_at=deadline_at,
            request_id=(request_id or b"").decode(),
            losses=losses,
            trace=trace.decode(),
            queued_at=queued_at,
            claimed_at=claimed_at,
            low=bool(low),
            told_at=told_at,
        )

    @property
    def waited_s(self) -> float:
        """How long its job was queued before it, in seconds."""
        return (self.claimed_at - self.queued_at) / 1000


@dataclass(frozen=True)
class Lapsed:
    """An attempt whose worker was lost. Instants are ms of Redis's clock."""

    job_id: str
    number: int
    worker: str
    claimed_at: int
    ended_at: int
    request_id: str
    trace: str

    @classmethod
    def parse(cls, row: Sequence[Any]) -> Self:
        """Read what ``reap.lua`` returned."""
        job_id, number, worker, claimed_at, ended_at, request_id, trace = row
        return cls(
            job_id=job_id.decode(),
            number=number,
            worker=worker.decode(),
            claimed_at=claimed_at,
            ended_at=ended_at,
            request_id=request_id.decode(),
            trace=trace.decode(),
        )
