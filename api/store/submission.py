"""A job to be made, as the submit script takes it."""

import json
from dataclasses import dataclass
from typing import Final

from shared.jobs import scripts
from shared.jobs.keys import Keys
from shared.settings import JobSettings

_REPLAY_TTL_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True)
class Submission:
    """A job to be made.

    ``holder`` is the process that holds the caller's call, empty where its caller is told the id at once;
    ``keep`` says that the job goes on whoever hangs up; ``max_wait_s`` is how long the caller would wait for
    the picture, ``trace`` what takes the trace to a worker, ``needs`` the version of the params that a worker
    must read; ``input_bytes`` what the pictures take that it begins with and that are in the store already;
    ``webhook`` who is told how it ended, as JSON, ``least_record_s`` how long its record is kept for that.

    ``low``: it is drawn where no other job waits, nothing is promised of it, and it counts in no bound on
    queued and owed work: whoever submits such jobs bounds them. The last three are the settings' where they
    are None.
    """

    id: str
    owner: str
    lane: str
    model: str
    params: str
    cost: int
    request_id: str
    body_digest: str
    holder: str
    max_wait_s: float
    weight: float = 1.0
    key_id: str = ""
    max_unfinished: int | None = None
    replay_digest: str = ""
    retry: bool = False
    keep: bool = False
    trace: str = ""
    needs: int = 1
    input_bytes: int = 0
    webhook: str = ""
    least_record_s: int = 0
    low: bool = False
    deadline_s: float | None = None
    result_ttl_s: int | None = None
    record_ttl_s: int | None = None

    def arguments(self, settings: JobSettings, keys: Keys) -> dict[str, scripts.Argument]:
        """Return what the script is called with."""
        deadline_s = self.deadline_s or settings.deadline_s
        grace_ms = -1 if settings.queue_without_worker else int(settings.worker_grace_s * 1000)
        fields = {
            "owner": self.owner,
            "lane": self.lane,
            "model": self.model,
            "params": self.params,
            "cost": str(self.cost),
            "weight": repr(self.weight),
            "request_id": self.request_id,
            "key_id": self.key_id,
            "record_ttl_s": str(max(self.record_ttl_s or settings.record_ttl_s, self.least_record_s)),
            "result_ttl_s": str(self.result_ttl_s or settings.result_ttl_s),
            "max_attempts": str(settings.max_attempts),
        }
        if self.trace:
            fields["trace"] = self.trace
        if self.webhook:
            fields["webhook"] = self.webhook
        if self.needs > 1:
            fields["needs"] = str(self.needs)
        if self.low:
            fields["low"] = "1"
        return {
            "job": keys.job(self.id),
            "id": self.id,
            "fields": json.dumps(fields),
            "deadline_ms": int(deadline_s * 1000),
            "max_queued": settings.max_queued,
            "max_unfinished": self.max_unfinished or settings.max_unfinished_per_owner,
            "worker_grace_ms": grace_ms,
            "replay_key": keys.key("replay", self.owner, self.replay_digest) if self.replay_digest else "",
            "replay_ttl_ms": _REPLAY_TTL_MS,
            "retry": int(self.retry),
            "body_digest": self.body_digest,
            "holder": self.holder,
            "keep": int(self.keep),
            "hold_ms": settings.hold_ms,
            "max_wait_ms": int(min(self.max_wait_s, deadline_s) * 1000),
            "max_owed_ms": int(settings.max_owed_s_per_owner * 1000),
            "max_result_bytes": settings.max_result_bytes,
            "live_ms": int(settings.lease_s * 1000),
            "input_bytes": self.input_bytes,
            "max_input_bytes": settings.max_input_bytes,
            "max_owner_input_bytes": settings.max_input_bytes_per_owner,
        }
