"""Connections that ended while nobody looked."""

import subprocess
import sys

import pytest

from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT


@pytest.mark.parametrize("end", ["abort", "close"])
def test_a_connection_that_ended_in_the_pool_is_replaced(valkey: EmbeddedServer, end: str) -> None:
    command = [sys.executable, "-m", "tests.faults.programs.closed_transport", valkey.url, end]

    asked = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=30, check=False)

    assert (asked.returncode, asked.stdout) == (0, "True\n"), asked.stderr
