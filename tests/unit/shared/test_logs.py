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


ORDERS = r"\x1b[31m\x9b1m\x1b]8;;http://evil.example\x07\u202e"
SHOWN = "\ufffd[31m\ufffd1m\ufffd]8;;http://evil.example\ufffd\ufffd"
ORDERING = f"""
import logging, warnings
from shared.logs import configure, get_logger
from shared.settings import LogSettings
configure(LogSettings(format={{format!r}}))
text = "{ORDERS}"
more = {{{{"name": text, "several": [text], "of": {{{{text: text}}}}, "error": ValueError(text)}}}}
get_logger("ours").warning("said " + text, **more)
logging.getLogger("library").warning("a library says %s\\n2026 [info] forged", text)
logging.getLogger("uvicorn.error").warning("uvicorn says %s", text)
logging.getLogger("celery").error("unknown command 'AUTH', with args beginning with: 'QZWJ' 'x'")
try:
    raise ValueError(text + "\\nof two lines")
except ValueError:
    get_logger("ours").exception("attempt.crashed")
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_line_has_an_order_to_a_terminal(log_format: str) -> None:
    program = ORDERING.format(format=log_format)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPO_ROOT, timeout=30
    )
    texts = [done.stderr]
    if log_format == "json":
        entries = [json.loads(line) for line in done.stderr.splitlines()]
        assert len(entries) == 5
        texts += [str(value) for entry in entries for value in entry.values()]

    for text in texts:
        assert [char for char in text if char != "\n" and not char.isprintable()] == []
    assert sum(text.count(SHOWN) for text in texts) >= 8
    assert "QZWJ" not in done.stderr
    assert not any(line.startswith("2026 [info] forged") for line in done.stderr.splitlines())
