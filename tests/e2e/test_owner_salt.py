"""`darkroom up` and `darkroom keys` agree on a salt that nobody set, also while the service runs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from cli.ports import free_port
from shared.settings import REPO_ROOT
from tests.http_caller import HttpCaller
from tests.service import process
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

DARKROOM: Final = (sys.executable, "-m", "cli")


@pytest.mark.timeout(420)  # two starts of everything
def test_a_key_that_is_made_while_up_runs_opens_it_and_one_of_its_next_start(tmp_path: Path) -> None:
    folder, port = tmp_path / "run", free_port()
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = (*DARKROOM, "up", "--port", str(port), "--run-folder", str(folder))
    key = ""
    for start in ("first", "second"):
        up = process(start, command, tmp_path)
        up.start()
        try:
            wait_until(lambda up=up: "ready after" in up.program.log.read_text(), 170, "readiness")
            if not key:
                create = (*DARKROOM, "keys", "create", "--name", "me", "--run-folder", str(folder))
                made = subprocess.run(
                    create,
                    cwd=REPO_ROOT,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=True,
                )
                assert "warning" not in made.stderr
                key = made.stdout.splitlines()[-1]
            with HttpCaller(f"http://127.0.0.1:{port}", key) as caller:
                wait_until(
                    lambda caller=caller: caller.http.get("/v1/usage").status_code == 200, 10, "the key"
                )
            with HttpCaller(f"http://127.0.0.1:{port}", "another") as stranger:
                assert stranger.http.get("/v1/usage").status_code == 401
        finally:
            up.stop(20)
        salt = (folder / "owner.salt").read_text().strip()
        logs = (folder / "logs").glob("*.log")
        for text in [up.program.log.read_text(), *(log.read_text(errors="replace") for log in logs)]:
            assert salt not in text
            assert key not in text
