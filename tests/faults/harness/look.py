"""Reading and awaiting the truth in Valkey and in the event logs, from a test's point of view."""

import json
import time
from typing import Any

from tests.faults.checker import TERMINAL, Checker
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.events import Event
from tests.waiting import wait_until_async


class Look:
    """What a test asks about its jobs."""

    def __init__(self, cluster: Cluster, accepted: list[str]) -> None:
        self._cluster = cluster
        self.accepted = accepted
        self._since = time.monotonic()
        self._known_before = self._known()

    def _known(self) -> int:
        return sum(1 for _ in self._cluster.store.scan_iter(match=self._cluster.keys.job("*")))

    def record(self, job_id: str) -> dict[str, str]:
        """Return the raw record."""
        raw: Any = self._cluster.store.hgetall(self._cluster.keys.job(job_id))
        return {key.decode(): value.decode() for key, value in raw.items()}

    def drawing(self) -> set[str]:
        """Return the attempts of this test that an engine has begun and not ended."""
        events = [event for event in self._cluster.events.all() if event.at > self._since]
        begun = {event.token for event in events if event.event == "start"}
        return begun - {event.token for event in events if event.event != "start"}

    async def busy(self, engines: int, timeout_s: float = 20.0) -> None:
        """Wait until so many attempts are being drawn."""

        async def check() -> bool:
            return len(self.drawing()) >= engines

        await wait_until_async(check, timeout_s, f"{engines} engines to be busy")

    async def taken(self, jobs: int, timeout_s: float = 20.0) -> None:
        """Wait until so many jobs of this test were accepted, however they are by then."""

        async def check() -> bool:
            return self._known() - self._known_before >= jobs

        await wait_until_async(check, timeout_s, f"{jobs} jobs to be accepted")

    def outcomes(self, job_id: str) -> list[str]:
        """Return how each attempt of a job ended."""
        return [line["outcome"] for line in json.loads(self.record(job_id).get("history", "[]"))]

    def announced(self, job_id: str) -> list[str]:
        """Return the statuses with which a job's end was announced."""
        entries: Any = self._cluster.store.xrange(self._cluster.keys.done)
        return [v[b"status"].decode() for _, v in entries if v[b"id"].decode() == job_id]

    async def started(self, job_id: str, number: int = 1, timeout_s: float = 20.0) -> Event:
        """Wait until an engine has started a job for the ``number``-th time."""

        async def check() -> Event | None:
            starts = self._cluster.events.of(job_id, "start")
            return starts[number - 1] if len(starts) >= number else None

        found = await wait_until_async(check, timeout_s, f"start {number} of job {job_id}")
        assert found is not None
        return found

    async def drawn(self, prompt: str, timeout_s: float = 20.0) -> Event:
        """Wait until an engine has started the job with this prompt."""

        async def check() -> Event | None:
            events = self._cluster.events.all()
            starts = (e for e in events if e.event == "start" and e.at > self._since)
            return next((e for e in starts if e.prompt == prompt), None)

        found = await wait_until_async(check, timeout_s, f"the start of {prompt!r}")
        assert found is not None
        return found

    async def aborted(self, token: str, timeout_s: float = 20.0) -> Event:
        """Wait until an engine has given an attempt up."""

        async def check() -> Event | None:
            events = self._cluster.events.all()
            return next((e for e in events if e.event == "abort" and e.token == token), None)

        found = await wait_until_async(check, timeout_s, f"the abort of {token}")
        assert found is not None
        return found

    async def stepping(self, job_id: str, timeout_s: float = 20.0) -> str:
        """Wait until a running job has reported a step; return its worker's name."""

        async def check() -> str:
            record = self.record(job_id)
            return record["worker"] if record["status"] == "running" and record["step"] != "0" else ""

        return await wait_until_async(check, timeout_s, f"a step of job {job_id}")

    async def ended(self, job_id: str, timeout_s: float = 30.0) -> dict[str, str]:
        """Wait until a job has ended; return its record."""

        async def check() -> dict[str, str] | None:
            record = self.record(job_id)
            return record if record["status"] in TERMINAL else None

        found = await wait_until_async(check, timeout_s, f"the end of job {job_id}")
        assert found is not None
        return found

    async def settled(self, timeout_s: float = 30.0) -> None:
        """Wait until no work is left, then check every promise."""
        checker = Checker(self._cluster.store, PREFIX, self._cluster.results)

        async def check() -> bool:
            return not checker.unsettled(self.accepted)

        try:
            await wait_until_async(check, timeout_s)
        except AssertionError:
            message = f"left unsettled: {checker.unsettled(self.accepted)[:20]}"
            raise AssertionError(message) from None
        problems = checker.problems(self.accepted, self._cluster.events.all())
        assert not problems, "\n".join(problems)
