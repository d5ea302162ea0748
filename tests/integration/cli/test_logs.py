"""What is shown of the logs of child processes."""

import json
from pathlib import Path

from cli.logs import Follower, start_afresh, tail


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("".join(f"line {i}\n" for i in range(100_000)))

    assert tail(log, lines=2) == "line 99998\nline 99999"
    assert tail(tmp_path / "missing.log") == ""


def test_bytes_that_are_no_text_do_not_stop_a_tail(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_bytes(b"good \xff\n")

    assert tail(log) == "good �"


def test_only_warnings_and_errors_are_followed_and_each_once(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    follower = Follower(log)
    assert follower.warnings() == []

    with log.open("a") as file:
        for level in ("debug", "info", "warning", "error"):
            file.write(
                json.dumps({"level": level, "event": "lease.lost", "job": "1", "timestamp": "now"}) + "\n"
            )
        file.write('plain text\n[1]\n{"level": "warn')
    assert follower.warnings() == ["warning: lease.lost job=1", "error: lease.lost job=1"]

    with log.open("a") as file:
        file.write('ing", "event": "late"}\n')
    assert follower.warnings() == ["warning: late"]
    assert follower.warnings() == []


def test_the_log_of_the_run_before_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    start_afresh(log)
    log.write_text("before")

    start_afresh(log)

    assert not log.exists()
    assert (tmp_path / "api.previous.log").read_text() == "before"
