"""The documented request brings a picture, and three workers share the load."""

import time
from typing import Any, Final

import httpx2

from cli.commands.demo import BODY
from tests.containers.caller import Caller
from tests.containers.readings import picture, shares
from tests.containers.report import Report, require
from tests.containers.stack import Stack

WORKERS: Final = 3
_JOBS: Final = 9


def quick(number: int) -> dict[str, Any]:
    """A request that takes a worker a second or two, unlike every other."""
    return {"prompt": f"a red apple {number}", "seed": number, "quality": "low"}


def the_documented_request_brings_a_picture(caller: Caller, report: Report) -> tuple[str, bytes]:
    """Send it as it stands in the documents; return the job's id and the body of the answer."""
    report.begins("the documented request")
    started = time.monotonic()
    answer = caller.draw(dict(BODY))
    require(answer.status_code == httpx2.codes.OK, f"{answer.status_code}: {answer.text[:500]}")
    seen = picture(answer.json())
    width, height = (int(each) for each in str(BODY["size"]).split("x"))
    require(seen.format == "PNG", f"it brought {seen}, not a PNG")
    require(seen.size == (width, height), f"it brought {seen}, not {BODY['size']}")
    require(not seen.blank, f"it brought a blank picture: {seen}")
    report.ok(f"200 after {time.monotonic() - started:.1f} s: {seen}, not blank")
    job_id = answer.headers["x-job-id"]
    require(caller.result(job_id) == answer.content, "the job's result is another than the call's")
    return job_id, answer.content


def workers_share_the_load(stack: Stack, caller: Caller, report: Report) -> None:
    """Scale out, and look into the logs for who drew what."""
    report.begins(f"--scale worker={WORKERS}")
    started = time.monotonic()
    stack.up("--scale", f"worker={WORKERS}", "--no-recreate")
    report.ok(f"{WORKERS} workers healthy after {time.monotonic() - started:.0f} s")
    jobs = [caller.submit(quick(number)) for number in range(_JOBS)]
    caller.succeeded(jobs)
    drew = shares(stack.logs("worker"), jobs)
    require(len(drew) == WORKERS, f"there are {len(drew)} workers")
    require(all(drew.values()), f"a worker drew nothing: {drew}")
    require(sum(drew.values()) == _JOBS, f"{_JOBS} jobs were drawn {sum(drew.values())} times")
    report.ok(f"{_JOBS} jobs, drawn by {WORKERS} workers: {', '.join(map(str, drew.values()))}")
