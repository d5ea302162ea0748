"""Clients that are no dependencies of Darkroom, each installed apart from it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from shared.settings import REPO_ROOT

CLIENTS: Final = Path(__file__).parent / "clients"
# The newest, and the last of each major version before it that is still much used.
OFFICIAL: Final = ("1.109.1", "2.54.0", "3.57.0")
# The newest whose proxy can be installed: later ones want parts that are not published.
LITELLM: Final = ("litellm[proxy]==1.106.12",)
KEPT = REPO_ROOT / ".darkroom" / "clients"
_NPM = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000")


def python_with(name: str, *wanted: str) -> Path:
    """Return the Python of an environment that has these requirements; it is kept for the next run.

    Skips the test where they cannot be installed.
    """
    folder = KEPT / name
    python, done = folder / "bin" / "python", folder / ".installed"
    if done.exists() and done.read_text() == "\n".join(wanted):
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--retries", "2", *wanted]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        pytest.skip(f"{' '.join(wanted)} could not be installed: {installed.stderr[-200:]}")
    done.write_text("\n".join(wanted))
    return python


def javascript_of(source: Path, folder: Path) -> Path:
    """Return a copy of a folder of programs for Node, with what its package.json wants.

    Skips the test where there is no Node, or no way to install.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    copy = folder / "programs"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("node_modules", "package-lock.json"))
    done = subprocess.run(_NPM, cwd=copy, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm could not install the clients: {(done.stderr or done.stdout)[-200:]}")
    return copy


def told(said: str) -> list[dict[str, Any]]:
    """What a program wrote, a line of JSON for each call."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]
