"""The tests see the same whoever runs them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.surroundings import hear_ctrl_c, leave_out

OTHERS = {
    "DARKROOM_API__PORT": "1",
    "FORCE_COLOR": "1",
    "HF_HUB_CACHE": "/anna/models",
    "MAKEFLAGS": "n",
    "OTEL_SDK_DISABLED": "true",
    "PROMETHEUS_MULTIPROC_DIR": "/nowhere",
}
KEPT = {"DARKROOM_LONG_FAULTS": "1", "HOME": "/anna", "https_proxy": "http://proxy:3128", "PATH": "/bin"}


def test_what_changes_the_service_is_left_out_and_the_rest_stays() -> None:
    environment = {**OTHERS, **KEPT}

    leave_out(environment, Path("/empty"))

    assert environment.pop("HF_HOME") == "/empty"
    assert environment.pop("no_proxy") == environment.pop("NO_PROXY") == "127.0.0.1,localhost,::1"
    assert environment == KEPT


def test_what_is_asked_without_a_proxy_already_still_is() -> None:
    environment = {"no_proxy": "*", "NO_PROXY": "localhost,.example.org"}

    leave_out(environment, Path("/empty"))

    assert environment["no_proxy"] == "*,127.0.0.1,localhost,::1"
    assert environment["NO_PROXY"] == "localhost,.example.org,127.0.0.1,::1"


def test_these_tests_run_without_anybody_s_settings() -> None:
    assert not any(name.startswith("DARKROOM_") and "__" in name for name in os.environ)
    assert list(Path(os.environ["HF_HOME"]).rglob("*.safetensors")) == []


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_this_machine_is_asked_without_a_proxy(name: str) -> None:
    assert "127.0.0.1" in os.environ[name].split(",")


def test_tests_that_a_script_starts_in_the_background_hear_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        hear_ctrl_c()
        ended = subprocess.run(
            [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"],
            check=False,
            capture_output=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)

    assert ended.returncode == -signal.SIGINT
