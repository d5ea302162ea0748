"""Callers of every kind, all at once: who wait, who poll, who hang up, who cancel, who repeat themselves, who
insist at another process, who want another picture of the same, and who ask for everything at once; every
third of them sends pictures to be edited, every fourth wants addresses, and most name a webhook."""

import asyncio
import base64
import json
import random
from collections import Counter
from typing import Final

import httpx2

from tests.faults.harness.caller import Caller
from tests.faults.harness.lasting import lasting

PNG: Final = b"\x89PNG"
# What a call may end with while everything breaks; 500s are judged by their code.
EXPECTED: Final = {200, 202, 409, 429, 503}
RETRIED: Final = {429, 503}
INSISTS: Final = 5
FLOOD: Final = 40
EXPECTED_CODES: Final = {"generation_failed", "worker_lost", "deadline_exceeded", "job_cancelled"}


class Load:
    """A few owners, each with a caller that never tires.

    Args:
        seed: decides what is asked for.
        urls: where.
        owners: how many there are.
        hook: the URL of the webhook that some name.
    """

    def __init__(self, seed: int, urls: list[str], owners: int, hook: str) -> None:
        self.accepted: list[str] = []
        self.answers: Counter[str] = Counter()
        self.problems: list[str] = []
        self._had: set[str] = set()
        self._stopping = asyncio.Event()
        self._seed = seed
        self._urls = urls
        self._owners = owners
        self._hook = hook
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let them begin."""
        self._tasks = [asyncio.create_task(self._call_on(owner)) for owner in range(self._owners)]

    async def stop(self, timeout_s: float) -> None:
        """Let every caller finish what it began."""
        self._stopping.set()
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(*self._tasks)

    async def _call_on(self, owner: int) -> None:
        rng = random.Random(f"{self._seed}.{owner}")
        made = 0
        callers = [
            Caller(url, f"owner {owner}", accepted=self.accepted, hook=self._hook) for url in self._urls
        ]
        try:
            while not self._stopping.is_set():
                made += 1
                await self._call(rng, callers, f"chaos {owner}.{made} {_words(rng)}")
                await lasting(rng.uniform(0.05, 0.5))
        finally:
            for caller in callers:
                await caller.__aexit__(None, None, None)

    async def _call(self, rng: random.Random, callers: list[Caller], prompt: str) -> None:
        caller = rng.choice(callers)
        ways = [
            self._hold,
            self._follow,
            self._hang_up,
            self._cancel,
            self._repeat,
            self._insist,
            self._ask_for_more,
            self._stream,
            self._flood,
        ]
        (way,) = rng.choices(ways, [20, 20, 10, 10, 10, 10, 10, 10, 1])
        try:
            await way(rng, caller, rng.choice(callers), prompt)
        except (httpx2.TransportError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1

    async def _hold(self, _: random.Random, caller: Caller, __: Caller, prompt: str) -> None:
        self._judge(await caller.draw(prompt), prompt)

    async def _follow(self, _: random.Random, caller: Caller, other: Caller, prompt: str) -> None:
        response = await caller.draw(prompt, headers={"prefer": "respond-async"}, timeout_s=20)
        self._judge(response, prompt)
        if response.status_code == httpx2.codes.ACCEPTED:
            await other.watch(response.json()["id"], timeout_s=60)

    async def _hang_up(self, rng: random.Random, caller: Caller, _: Caller, prompt: str) -> None:
        async with asyncio.timeout(rng.uniform(0.001, 1)):
            self._judge(await caller.draw(prompt), prompt)

    async def _cancel(self, rng: random.Random, caller: Caller, other: Caller, prompt: str) -> None:
        response = await caller.draw(prompt, headers={"prefer": "respond-async"}, timeout_s=20)
        self._judge(response, prompt)
        if response.status_code == httpx2.codes.ACCEPTED:
            await lasting(rng.uniform(0, 0.5))
            await other.try_cancel(response.json()["id"])

    async def _repeat(self, rng: random.Random, caller: Caller, other: Caller, prompt: str) -> None:
        """Two calls with one key are one job, wherever they arrive."""
        headers = {"Idempotency-Key": f"{prompt} {rng.random()}"}
        calls = [asyncio.create_task(each.draw(prompt, headers=headers)) for each in (caller, other)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        answers = [end for end in ends if isinstance(end, httpx2.Response)]
        for answer in answers:
            self._judge(answer, prompt)
        drawn = [a for a in answers if a.status_code == httpx2.codes.OK]
        if len({a.headers["x-job-id"] for a in drawn}) > 1 or len({_body(a) for a in drawn}) > 1:
            self.problems.append(f"two jobs for one key: {prompt}")

    async def _insist(
        self, rng: random.Random, caller: Caller, other: Caller, prompt: str
    ) -> httpx2.Response | None:
        """Do as the official client does: try again, somewhere, until there is a picture or a reason."""
        for retry in range(INSISTS):
            headers = {"x-stainless-retry-count": str(retry)} if retry else {}
            try:
                response = await (caller, other)[retry % 2].draw(prompt, headers=headers, seed=1)
            except httpx2.TransportError as error:
                self.answers[type(error).__name__] += 1
            else:
                self._judge(response, prompt)
                if response.status_code not in RETRIED:
                    return response
            await lasting(rng.uniform(0.2, 1))
        return None

    async def _ask_for_more(self, rng: random.Random, caller: Caller, other: Caller, prompt: str) -> None:
        """Ask for the same as ever, a few times in a row: no answer is ever one that this owner has had."""
        same = (
            f"{prompt.partition('.')[0]}, as ever slow:5{rng.choice(['', ' picture:4', ' picture:5:masked'])}"
        )
        for _ in range(rng.randint(2, 4)):
            response = await self._insist(rng, caller, other, same)
            if response is None or response.status_code != httpx2.codes.OK:
                continue
            job_id = response.headers["x-job-id"]
            if job_id in self._had:
                self.problems.append(f"the picture of {job_id} was given twice: {same}")
            self._had.add(job_id)
            self.answers["another of the same"] += 1

    async def _stream(self, _: random.Random, caller: Caller, __: Caller, prompt: str) -> None:
        """A stream ends with a picture, with a reason, or because its process was killed."""
        status, names, data = await caller.stream(prompt)
        if status != httpx2.codes.OK:
            self._judge(httpx2.Response(status, text=data), prompt)
            return
        end = names[-1].rpartition(".")[2] if names else "cut"
        self.answers[f"stream {end}"] += 1
        code = json.loads(data)["error"]["code"] if end == "error" else ""
        if sum(name.endswith(".completed") for name in names) > 1 or (
            end == "error" and code not in EXPECTED_CODES | {"store_unavailable", "service_stopping"}
        ):
            self.problems.append(f"stream of {prompt}: {names} {code}")

    async def _flood(self, _: random.Random, caller: Caller, other: Caller, prompt: str) -> None:
        """Ask for dozens at once, and take most of it back."""
        calls = [
            caller.draw(f"{prompt} of many {i} slow:2", headers={"prefer": "respond-async"}, timeout_s=20)
            for i in range(FLOOD)
        ]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        answers = [end for end in ends if isinstance(end, httpx2.Response)]
        for answer in answers:
            self._judge(answer, prompt)
        accepted = [a.json()["id"] for a in answers if a.status_code == httpx2.codes.ACCEPTED]
        await asyncio.gather(
            *(other.try_cancel(job_id) for job_id in accepted[FLOOD // 4 :]), return_exceptions=True
        )

    def _judge(self, response: httpx2.Response, prompt: str) -> None:
        status = response.status_code
        if status == httpx2.codes.OK:
            self.answers["200"] += 1
            image = response.json()["data"][0]
            # What lies at an address, the checker sees in its folder.
            drawn = (
                "url" in image if STORED in prompt else base64.b64decode(image["b64_json"]).startswith(PNG)
            )
            if not drawn:
                self.problems.append(f"no picture for {prompt}")
            return
        code = (response.json().get("error") or {}).get("code", "")
        self.answers[f"{status} {code}".strip()] += 1
        if status not in EXPECTED and code not in EXPECTED_CODES:
            self.problems.append(f"{status} {code} for {prompt}: {response.text[:200]}")


def _body(answer: httpx2.Response) -> str:
    """Return the body; the addresses in it begin with that of the process that was asked."""
    return answer.text.replace(str(answer.request.url).partition("/v1/")[0], "")


STORED: Final = "stored:url"
"""What a prompt says whose picture is asked for as an address."""
EDITED: Final = 0.35
"""How many of all calls send pictures."""
BY_URL: Final = 0.25
"""How many ask for addresses."""
TOLD: Final = 0.6
"""How many name a webhook."""
ENDS: Final = ("all", "all", "succeeded", "failed", "cancelled")
"""Which ends such a one wants to be told of."""
# How often in a thousand a prompt misbehaves, and how.
POISONS: Final = {"kill": 8, "hang-once": 6, "raise": 20, "oom-once": 20, "oom-always": 20}


def _words(rng: random.Random) -> str:
    """Return how long each step takes, which pictures are sent, and what goes wrong, if anything."""
    # As a regular expression finds it: the first such word of a prompt counts.
    words = [f"slow:{rng.choice([5, 10, 20, 40, 100])}"]
    for poison, chance in POISONS.items():
        if rng.random() < chance / 1000:
            words.append(f"poison:{poison}")
            break
    if rng.random() < EDITED:
        words.append(
            f"picture:{rng.randrange(10**6)}{rng.choice(['', ':masked'])}{rng.choice(['', ':json'])}"
        )
    if rng.random() < BY_URL:
        words.append(STORED)
    if rng.random() < TOLD:
        words.append(f"told:{rng.choice(ENDS)}")
    return " ".join(words)
