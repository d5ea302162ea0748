"""Logs: one line an event, from our code and from libraries alike."""

import json
import subprocess
import sys

import pytest

from shared.settings import REPO_ROOT

PROGRAM = """
import logging, structlog
from shared.logs import configure, get_logger
from shared.settings import LogSettings
configure(LogSettings(format={format!r}, level={level!r}))
structlog.contextvars.bind_contextvars(request_id="req_1")
log = get_logger("ours")
log.debug("job.looked_at")
log.info("job.submitted", job_id="abc", cost=3)
logging.getLogger("library").warning("a library says %s", "hello")
def draw(prompt):
    raise ValueError("the brush broke")
try:
    draw("a very private prompt")
except ValueError:
    log.exception("attempt.crashed")
"""


def lines(log_format: str = "json", level: str = "info") -> list[str]:
    """What a process of its own writes; logging is set up once a process."""
    program = PROGRAM.format(format=log_format, level=level)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPO_ROOT, timeout=30
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_event_is_one_line_of_json_with_its_ids() -> None:
    ours, library, crash = map(json.loads, lines())

    assert (ours["event"], ours["job_id"], ours["cost"]) == ("job.submitted", "abc", 3)
    assert (library["event"], library["level"]) == ("a library says hello", "warning")
    assert "the brush broke" in crash["exception"]
    for line in (ours, library, crash):
        assert line["request_id"] == "req_1"
        assert line["timestamp"].endswith("Z")


def test_what_is_less_severe_than_the_level_is_not_written() -> None:
    assert len(lines(level="debug")) == 4
    assert len(lines(level="error")) == 1


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_values(log_format: str) -> None:
    written = "\n".join(lines(log_format))

    assert "the brush broke" in written
    assert "prompt = " not in written
    assert "private prompt'" not in written
