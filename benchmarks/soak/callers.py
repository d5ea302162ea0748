"""Callers of every kind, who never tire: what each asks for, how long it took, and what was wrong with it."""

import asyncio
import base64
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from tests.faults.harness.caller import JOBS, Caller
from tests.faults.harness.lasting import lasting

SIZES: Final = ("64x64", "128x64", "64x128", "256x256")
PNG: Final = b"\x89PNG"
PATIENCE_S: Final = 60.0
_COMPLETED: Final = "image_generation.completed"
# A service that is broken for an hour would otherwise fill this process with the same words.
_MOST_PROBLEMS: Final = 1000


@dataclass(frozen=True)
class Sample:
    """One call: when it began (seconds into the run), of which kind, and how long it took."""

    at_s: float
    way: str
    took_s: float


@dataclass
class Heard:
    """What all callers saw. ``problems`` are answers that nobody should get in a healthy service."""

    samples: list[Sample] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def complain(self, problem: str) -> None:
        """Note a problem; of very many, the first."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


class Callers:
    """So many callers of a few owners, each doing one thing after the other.

    Args:
        url: the service.
        count: callers.
        owners: whom they belong to.
        seed: what they ask for; the same seed asks for the same again.
        pause_s: the longest rest between two calls.
    """

    def __init__(self, url: str, *, count: int, owners: int, seed: int, pause_s: float = 0.2) -> None:
        self.heard = Heard()
        self._url = url
        self._count = count
        self._owners = owners
        self._seed = seed
        self._pause_s = pause_s
        self._began_at = 0.0

    async def call_for(self, seconds: float) -> None:
        """Call for so long, then let every caller finish what it began."""
        self._began_at = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._count):
                tasks.create_task(self._call_on(number, self._began_at + seconds))

    async def _call_on(self, number: int, until: float) -> None:
        rng = random.Random(f"{self._seed}.{number}")  # noqa: S311 - nothing is kept secret by it
        ways = {
            self._held: 30,
            self._followed: 20,
            self._streamed: 15,
            self._retried: 10,
            self._cancelled: 10,
            self._hung_up: 10,
        }
        async with Caller(self._url, f"owner {number % self._owners}") as caller:
            made = 0
            while time.monotonic() < until:
                made += 1
                (way,) = rng.choices([*ways], [*ways.values()])
                fields = {"n": rng.choice((1, 1, 1, 2, 4)), "size": rng.choice(SIZES), "quality": "low"}
                prompt = f"caller {number}, picture {made}, slow:5"
                await self._timed(way, rng, caller, {"prompt": prompt, **fields})
                await lasting(rng.uniform(0, self._pause_s))

    async def _timed(self, way: Any, rng: random.Random, caller: Caller, body: dict[str, Any]) -> None:  # noqa: ANN401
        name, began_at = way.__name__.lstrip("_").replace("_", " "), time.monotonic()
        try:
            await way(rng, caller, body)
        except (httpx2.TransportError, TimeoutError) as error:
            self._count_answer(name, type(error).__name__, "no answer")
        took_s = time.monotonic() - began_at
        self.heard.samples.append(Sample(began_at - self._began_at, name, took_s))

    async def _held(self, _: random.Random, caller: Caller, body: dict[str, Any]) -> None:
        self._drawn("held", await caller.draw(**body), body)

    async def _followed(self, _: random.Random, caller: Caller, body: dict[str, Any]) -> None:
        answer = await caller.draw(**body, headers={"prefer": "respond-async"})
        if self._is("followed", answer, 202):
            job_id = answer.json()["id"]
            await caller.watch(job_id, PATIENCE_S)
            self._drawn("followed", await caller.result(job_id), body)

    async def _streamed(self, _: random.Random, caller: Caller, body: dict[str, Any]) -> None:
        status, names, data = await caller.stream(body["prompt"])
        end = names[-1] if names else str(status)
        code = json.loads(data).get("error", {}).get("code", "") if end == "error" else ""
        self._count_answer("streamed", f"{end} {code}".strip(), "" if end == _COMPLETED else data[:200])

    async def _retried(self, rng: random.Random, caller: Caller, body: dict[str, Any]) -> None:
        """Two calls with one key, at once or one after the other, are one job."""
        headers = {"Idempotency-Key": f"{body['prompt']} {rng.random()}"}
        if rng.random() < 0.5:  # noqa: PLR2004 - as often as not
            answers = await asyncio.gather(*(caller.draw(**body, headers=headers) for _ in range(2)))
        else:
            answers = [await caller.draw(**body, headers=headers) for _ in range(2)]
        for answer in answers:
            self._drawn("retried", answer, body)
        if len({answer.headers.get("x-job-id") for answer in answers}) > 1:
            self.heard.complain(f"retried: two jobs for one key: {body['prompt']}")

    async def _cancelled(self, rng: random.Random, caller: Caller, body: dict[str, Any]) -> None:
        answer = await caller.draw(**body, headers={"prefer": "respond-async"})
        if self._is("cancelled", answer, 202):
            await lasting(rng.uniform(0, 0.2))
            await caller.cancel(answer.json()["id"])
            status = (await caller.job(answer.json()["id"]))["status"]
            self._count_answer(
                "cancelled", status, "" if status in {"cancelled", "succeeded"} else f"it is {status}"
            )

    async def _hung_up(self, rng: random.Random, caller: Caller, body: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(rng.uniform(0.001, 0.15)):
                self._drawn("hung up", await caller.draw(**body), body)
        except TimeoutError:
            self.heard.answers["hung up: gone"] += 1

    def _drawn(self, way: str, answer: httpx2.Response, body: dict[str, Any]) -> None:
        if not self._is(way, answer, 200):
            return
        images = [base64.b64decode(each["b64_json"]) for each in answer.json()["data"]]
        if len(images) != body["n"] or not all(image.startswith(PNG) for image in images):
            self.heard.complain(f"{way}: {len(images)} pictures for {body}")

    def _is(self, way: str, answer: httpx2.Response, status: int) -> bool:
        good = answer.status_code == status
        code = "" if good else (answer.json().get("error") or {}).get("code", "")
        problem = "" if good else f"{answer.request.url.path.removeprefix(JOBS)} {answer.text[:200]}"
        self._count_answer(way, f"{answer.status_code} {code}".strip(), problem)
        return good

    def _count_answer(self, way: str, answer: str, problem: str) -> None:
        self.heard.answers[f"{way}: {answer}"] += 1
        if problem:
            self.heard.complain(f"{way}: {answer}: {problem}")
