"""A blocking caller of the submit, cancel and place scripts, for tests of the store."""

import json
from typing import Any

import redis

from shared.jobs import scripts
from shared.jobs.keys import Keys
from shared.params import Params


class Caller:
    """What the API does, with every knob of the scripts in reach."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client: Any = client
        self.keys = Keys(prefix)
        self._made = 0

    def run(self, name: str, **values: Any) -> list[Any]:
        script = scripts.load(name)
        keys, args = script.bind(self.keys.prefix, values)
        return scripts.checked(self.client.register_script(script.source)(keys=keys, args=args))

    def submit(
        self,
        *,
        owner: str = "owner",
        lane: str = "",
        model: str = "m",
        cost: int = 1000,
        weight: str = "1",
        job_id: str | None = None,
        deadline_ms: int = 600_000,
        max_attempts: int = 3,
        body_digest: str = "",
        params: Params | None = None,
        needs: int = 1,
        low: bool = False,
        fields: dict[str, str] | None = None,
        **more: Any,
    ) -> str:
        """Submit a job and return its id; ``fields`` are more of its record, ``more`` overrides arguments."""
        self._made += 1
        job_id = job_id or f"job{self._made:05d}"
        known = {
            "owner": owner,
            "lane": lane or owner,
            "model": model,
            "params": (params or Params(prompt=f"prompt of {job_id}", seed=1)).model_dump_json(),
            "cost": str(cost),
            "weight": weight,
            "request_id": "req",
            "record_ttl_s": "600",
            "result_ttl_s": "300",
            "max_attempts": str(max_attempts),
        }
        if needs > 1:
            known["needs"] = str(needs)
        if low:
            known["low"] = "1"
        values = {
            "max_queued": 100_000,
            "max_unfinished": 100_000,
            "worker_grace_ms": -1,
            "replay_key": "",
            "replay_ttl_ms": 600_000,
            "retry": 0,
            "holder": "",
            "keep": int(not more.get("holder")),
            "hold_ms": 10_000,
            "max_wait_ms": 10**12,
            "max_owed_ms": 10**12,
            "max_result_bytes": 10**12,
            "live_ms": 5000,
            "input_bytes": 0,
            "max_input_bytes": 10**12,
            "max_owner_input_bytes": 10**12,
        }
        reply = self.run(
            "submit",
            job=self.keys.job(job_id),
            id=job_id,
            fields=json.dumps({**known, **(fields or {})}),
            deadline_ms=deadline_ms,
            body_digest=body_digest,
            **{**values, **more},
        )
        answered: str = reply[0].decode()
        return answered

    def cancel(self, job_id: str, owner: str = "owner") -> str:
        status: bytes = self.run("cancel", job=self.keys.job(job_id), id=job_id, owner=owner)[0]
        return status.decode()

    def release(self, job_id: str, holder: str, *, grace_ms: int = 10_000, told: bool = False) -> str:
        (status,) = self.run("release", id=job_id, holder=holder, grace_ms=grace_ms, told=int(told))
        return str(status.decode())

    def answer(self, job_id: str, holder: str, *, last: bool = True) -> None:
        self.run("answer", id=job_id, holder=holder, last=int(last))

    def refused(self, body_digest: str, owner: str = "owner") -> None:
        self.run("refuse", owner=owner, body_digest=body_digest, most=3, memory_ms=60_000)

    def place(self, job_id: str) -> list[Any]:
        return self.run("place", job=self.keys.job(job_id), id=job_id, live_ms=5000)

    def record(self, job_id: str) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.client.hgetall(self.keys.job(job_id)).items()}

    def status(self, job_id: str) -> str:
        return self.record(job_id).get("status", "gone")

    def ended(self) -> list[tuple[str, str]]:
        """Return (id, status) of each announcement of an end."""
        return [(v[b"id"].decode(), v[b"status"].decode()) for _, v in self.client.xrange(self.keys.done)]
