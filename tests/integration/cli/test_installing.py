"""What make says while pip works, and what it says to do when pip fails: with a real pip that cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.installing import in_words, remedy
from tests.integration.cli.processes import REPO_ROOT

SCRIPT = REPO_ROOT / "cli" / "installing.py"


def install(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(tmp_path / "log"), *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_index_that_cannot_be_reached_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--isolated",
        "install",
        "--no-cache-dir",
        "--retries",
        "0",
        "--target",
        "x",
    )

    result = install(tmp_path, *pip, "--index-url", "http://127.0.0.1:1/", "a-package-of-nobody")

    assert result.returncode == 1
    assert "make: installing failed: the package index cannot be reached" in result.stderr
    assert "a-package-of-nobody" in (tmp_path / "log").read_text()


def test_what_matters_of_a_long_installation_is_said_as_it_happens(tmp_path: Path) -> None:
    program = """
print("Collecting torch==2.13.0")
print("  Downloading torch-2.13.0-cp311-manylinux.whl (184.5 MB)")
print("  Downloading rich-15.0.0-py3-none-any.whl (243 kB)")
print("Installing collected packages: torch, rich, darkroom")
"""

    result = install(tmp_path, sys.executable, "-c", program)

    assert result.returncode == 0
    assert result.stdout.splitlines()[:2] == [
        "make: downloading torch 2.13.0, 184 MB",
        "make: installing 3 packages",
    ]
    assert result.stdout.splitlines()[2].startswith("make: installed in ")
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("NewConnectionError: Temporary failure in name resolution", "is there a network"),
        ("SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]')", "PIP_CERT"),
        ("[Errno 13] Permission denied: '.venv'", "clone into one of your own"),
        (" signal 9", "the memory ran out"),
        ("something else", "see above"),
    ],
)
def test_a_known_failure_has_a_remedy(said: str, words: str) -> None:
    assert words in remedy(said)


def test_small_downloads_are_not_worth_a_line() -> None:
    assert in_words("  Downloading rich-15.0.0-py3-none-any.whl (243 kB)") == ""
