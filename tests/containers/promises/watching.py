"""Flower: only with its password, and it sees the workers."""

from typing import Final

import httpx2

from tests.containers.promises.confinement import is_confined
from tests.containers.report import Report, require, until
from tests.containers.stack import FILE, FLOWER_FILE, Stack

_USER: Final = "darkroom"
_SEEN_S: Final = 60.0


def flower_wants_its_password(stack: Stack, report: Report) -> None:
    """Add Flower to the running stack; ask it without and with the password."""
    report.begins(f"Flower, from {FLOWER_FILE}")
    stack.up(files=(FILE, FLOWER_FILE))
    workers = {f"celery@{each.host}" for each in stack.containers("worker")}
    with httpx2.Client(base_url=stack.flower_url, timeout=10, trust_env=False) as http:
        for auth in (None, (_USER, "wrong")):
            answer = http.get("/workers", auth=auth)
            require(answer.status_code == httpx2.codes.UNAUTHORIZED, f"{auth}: {answer.status_code}")
        report.ok("401 without a password, and with a wrong one")
        auth = (_USER, stack.password)
        listed = until(
            lambda: set(http.get("/api/workers", auth=auth, params={"refresh": "1"}).json()) & workers,
            _SEEN_S,
            "a worker in Flower's list",
        )
        require(listed == workers, f"Flower lists {listed} of {workers}")
        report.ok(f"with it, the worker is listed: {', '.join(sorted(listed))}")
    is_confined(stack, stack.container("flower"), report)
