"""Containers are killed, restarted and stopped, and nothing that was accepted is lost."""

import time
from typing import Final

import httpx2

from tests.containers.caller import Caller
from tests.containers.promises.drawing import WORKERS, quick
from tests.containers.readings import drawn, picture
from tests.containers.report import Report, require, until
from tests.containers.stack import Container, Stack

_HELD: Final = 6
_ACCEPTED: Final = 6
_BUSY_S: Final = 60.0
_READY_S: Final = 90.0
_KILLED: Final = 137


def a_killed_worker_loses_nothing(stack: Stack, caller: Caller, report: Report) -> None:
    """SIGKILL a worker's container while it draws; every held call still gets its picture."""
    report.begins("SIGKILL of a worker while it draws")
    calls = caller.hold([{"prompt": f"a blue cup {number}", "seed": number} for number in range(_HELD)])
    victim = until(lambda: _drawing(stack, caller), _BUSY_S, "a worker that draws")
    stack.engine.docker("kill", "--signal", "KILL", victim.id)
    killed_at = time.monotonic()
    report.note(f"killed {victim.host}")
    answers = [call.result() for call in calls]
    statuses = [answer.status_code for answer in answers]
    require(statuses == [httpx2.codes.OK] * _HELD, f"the held calls were answered {statuses}")
    pictures = [picture(answer.json()) for answer in answers]
    require(not any(each.blank for each in pictures), f"a picture is blank: {pictures}")
    report.ok(f"{_HELD} held calls: 200 each, {time.monotonic() - killed_at:.1f} s after the kill")
    jobs = {answer.headers["x-job-id"] for answer in answers}
    again = {job_id for job_id in jobs if caller.job(job_id)["attempt"] > 1}
    require(again, "no job needed a second attempt, so the kill came at no picture")
    second = {each.job_id for log in stack.logs("worker").values() for each in drawn(log) if each.attempt > 1}
    require(again <= second, f"second attempts of {again - second} are in no living worker's log")
    report.ok(f"{len(again)} of them drawn by another worker, as attempt 2")
    stack.up("--scale", f"worker={WORKERS}", "--no-recreate")
    report.ok(f"compose up brings the worker back: {WORKERS} healthy")


def _drawing(stack: Stack, caller: Caller) -> Container | None:
    """A worker that holds a job."""
    holding = caller.holding()
    return next((each for each in stack.containers("worker") if holding.get(each.host)), None)


def the_store_comes_back_with_everything(
    stack: Stack, caller: Caller, finished: bytes, job_id: str, report: Report
) -> None:
    """Restart the store, then kill it, each time with acknowledged jobs waiting."""
    for words, command in (
        ("restart", ("restart", "--time", "30")),
        ("SIGKILL", ("kill", "--signal", "KILL")),
    ):
        report.begins(f"{words} of the valkey container")
        jobs = [caller.submit(quick(number + 100 * len(words))) for number in range(_ACCEPTED)]
        require(any(job["status"] == "queued" for job in map(caller.job, jobs)), "no job waits any more")
        stack.engine.docker(*command, stack.container("valkey").id)
        if command[0] == "kill":
            stack.compose("start", "valkey")
        until(caller.ready, _READY_S, "readiness after the store came back")
        caller.succeeded(jobs)
        for each in jobs:
            caller.result(each)
        report.ok(f"{_ACCEPTED} jobs acknowledged before it: all succeeded, all fetched")
        require(caller.result(job_id) == finished, "an earlier result is another one now")
        report.ok("a result from before it: the same bytes")


def stopping_loses_nothing(stack: Stack, caller: Caller, report: Report) -> None:
    """Stop everything while pictures are drawn, and start it again."""
    report.begins("compose stop, and up again")
    jobs = [
        caller.submit({"prompt": f"a green tree {number}", "seed": number}) for number in range(_ACCEPTED)
    ]
    until(lambda: _drawing(stack, caller), _BUSY_S, "a worker that draws")
    running = stack.containers()
    started = time.monotonic()
    stack.compose("stop", timeout_s=180)
    took_s = time.monotonic() - started
    codes = {f"{each.service} {each.host}": stack.state(each)["ExitCode"] for each in running}
    killed = [name for name, code in codes.items() if code == _KILLED]
    require(not killed, f"killed, because they did not end in their grace: {killed}")
    report.ok(f"{len(running)} containers ended by themselves within their grace, {took_s:.0f} s in all")
    stack.up("--scale", f"worker={WORKERS}", "--no-recreate")
    until(caller.ready, _READY_S, "readiness after the stop")
    finished = caller.succeeded(jobs)
    require(all(job["attempt"] == 1 for job in finished), "an attempt was lost by an orderly stop")
    report.ok(f"{_ACCEPTED} jobs acknowledged before it: all succeeded, none with a lost attempt")
