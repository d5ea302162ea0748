"""Workers and the API are replaced by the commands of docs/containers.md; no caller sees an error."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import httpx2
import openai

from tests.containers.caller import Caller
from tests.containers.promises.drawing import WORKERS
from tests.containers.readings import picture
from tests.containers.report import Report, require, until
from tests.containers.stack import Container, Stack

_HELD: Final = 6
_BUSY_S: Final = 60.0
_GRACE_S: Final = 45
_API_GRACE_S: Final = 15
_KEY: Final = "a caller of an API that is replaced"
_ASKED_EVERY_S: Final = 0.1


def workers_are_replaced_under_held_calls(stack: Stack, caller: Caller, report: Report) -> None:
    """New workers beside the old ones, then the old ones drain: every held call gets its picture."""
    report.begins("new workers in place of the old ones")
    old = {each.id for each in stack.containers("worker")}
    calls = caller.hold([{"prompt": f"a yellow boat {number}", "seed": number} for number in range(_HELD)])
    until(lambda: _drawing(stack, caller), _BUSY_S, "a worker that draws")
    stack.up("--no-deps", "--no-recreate", "--scale", f"worker={2 * WORKERS}", "worker")
    for each in old:
        stack.engine.docker("stop", "--time", str(_GRACE_S), each)
        stack.engine.docker("rm", each)
    answers = [call.result() for call in calls]
    statuses = [answer.status_code for answer in answers]
    require(statuses == [httpx2.codes.OK] * _HELD, f"the held calls were answered {statuses}")
    require(not any(picture(answer.json()).blank for answer in answers), "a picture is blank")
    lost = [
        answer.headers["x-job-id"]
        for answer in answers
        if caller.job(answer.headers["x-job-id"])["attempt"] > 1
    ]
    require(not lost, f"jobs {lost} lost an attempt, though every worker was given its time")
    left = old & {each.id for each in stack.containers("worker")}
    require(not left, f"old workers are left: {left}")
    report.ok(f"{_HELD} held calls: 200 each, none with a lost attempt")


def _drawing(stack: Stack, caller: Caller) -> Container | None:
    """A worker that holds a job."""
    holding = caller.holding()
    return next((each for each in stack.containers("worker") if holding.get(each.host)), None)


def the_api_is_replaced_under_held_calls(stack: Stack, report: Report) -> None:
    """A new API beside the old one, then the old one ends: the official client gets its pictures."""
    report.begins("a new API in place of the old one")
    old = stack.container("api")
    client = openai.OpenAI(
        base_url=f"{stack.url}/v1", api_key=_KEY, http_client=httpx2.Client(trust_env=False, timeout=300)
    )
    with client, ThreadPoolExecutor(_HELD) as threads, _asking(stack) as answers:
        calls = [threads.submit(_drawn, client, f"a green hat {number}", number) for number in range(_HELD)]
        until(lambda: len(_jobs(stack)) >= _HELD, _BUSY_S, "the jobs of the held calls")
        stack.up("--no-deps", "--no-recreate", "--scale", "api=2", "api")
        stack.engine.docker("stop", "--time", str(_API_GRACE_S), old.id)
        stack.engine.docker("rm", old.id)
        drawn = [call.result() for call in calls]
    require(old not in stack.containers("api"), "the old API is left")
    jobs, cut = {job_id for job_id, _ in drawn}, sum(again > 0 for _, again in drawn)
    require(cut > 0, "the old API held no call any more when it ended")
    made = _jobs(stack)
    require(made == jobs, f"{len(made)} jobs were made for {_HELD} calls, which got {len(jobs)} of them")
    failed = [each for each in answers if each != httpx2.codes.OK]
    require(not failed, f"{len(failed)} of {len(answers)} questions meanwhile were answered {set(failed)}")
    report.ok(f"{_HELD} held calls, {cut} of them cut: a picture and one job each")
    report.ok(f"{len(answers)} questions meanwhile: 200 each")


def _jobs(stack: Stack) -> set[str]:
    """The ids of the jobs of this caller, who is another than the rest."""
    headers = {"Authorization": f"Bearer {_KEY}"}
    answer = httpx2.get(f"{stack.url}/v1/images/jobs", headers=headers, trust_env=False)
    return {job["id"] for job in answer.json()["data"]}


def _drawn(client: openai.OpenAI, prompt: str, seed: int) -> tuple[str, int]:
    """Draw a picture with the official client; return the job's id, and how often the client tried again."""
    answer = client.images.with_raw_response.generate(prompt=prompt, extra_body={"seed": seed})
    data = answer.parse().data
    require(bool(data and data[0].b64_json), "there is no picture")
    return str(answer.headers["x-job-id"]), answer.retries_taken


@contextmanager
def _asking(stack: Stack) -> Iterator[list[int]]:
    """Ask for the API's health again and again meanwhile, each time anew; give the statuses, 0 for none."""
    answers: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(_ASKED_EVERY_S):
            try:
                answers.append(httpx2.get(f"{stack.url}/healthz", timeout=5, trust_env=False).status_code)
            except httpx2.TransportError:
                answers.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()
