"""Workers are replaced by the commands of docs/containers.md under held calls; no caller sees an error."""

from typing import Final

import httpx2

from tests.containers.caller import Caller
from tests.containers.promises.drawing import WORKERS
from tests.containers.readings import picture
from tests.containers.report import Report, require, until
from tests.containers.stack import Container, Stack

_HELD: Final = 6
_BUSY_S: Final = 60.0
_GRACE_S: Final = 45


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
