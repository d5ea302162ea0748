"""What several processes of one port count together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api import metrics


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_dead_process_held_is_forgotten_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(metrics.FOLDER, str(tmp_path))
    dead = dead_pid()
    (tmp_path / f"{dead}.serving").touch()
    (tmp_path / f"gauge_livesum_{dead}.db").touch()
    (tmp_path / f"gauge_livesum_{os.getppid()}.db").touch()
    (tmp_path / f"{os.getppid()}.serving").touch()

    metrics.forget_the_dead()

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        f"{os.getpid()}.serving",
        f"{os.getppid()}.serving",
        f"gauge_livesum_{os.getppid()}.db",
    }
