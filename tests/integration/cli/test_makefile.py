"""The Makefile says what is wrong with a machine, and make takes its commands with it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.cli.processes import REPO_ROOT

NO_ENSUREPIP = """#!/bin/sh
case "$1" in
--version) echo "Python 3.12.1" ;;
-m) echo "ensurepip is not available"; mkdir .venv; exit 1 ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPO_ROOT / name, tmp_path)
    return tmp_path


def make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=clone, capture_output=True, text=True, timeout=30, check=False
    )


def program(clone: Path, text: str) -> str:
    path = clone / "python"
    path.write_text(text)
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_make_alone_lists_every_target(clone: Path) -> None:
    phony = re.findall(r"^\.PHONY: (.*)$", (clone / "Makefile").read_text(), re.MULTILINE)
    assert phony

    listed = [line.split()[1] for line in make(clone).stdout.splitlines()]

    assert sorted(listed) == sorted(" ".join(phony).split())


@pytest.mark.parametrize("target", ["setup", "demo", "up", "test", "check"])
def test_a_python_that_is_too_old_is_refused_in_words(clone: Path, target: str) -> None:
    result = make(clone, target, program(clone, "#!/bin/sh\nexit 1\n"))

    assert result.returncode != 0
    assert "Python 3.11 or newer is needed" in result.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_refused_with_the_remedy_and_leaves_nothing(clone: Path) -> None:
    result = make(clone, "setup", program(clone, NO_ENSUREPIP))

    assert result.returncode != 0
    assert "ensurepip is not available" in result.stderr
    assert "apt install python3-venv" in result.stderr
    assert not (clone / ".venv").exists()


def test_an_environment_that_was_moved_here_is_made_again(clone: Path) -> None:
    scripts = clone / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to("/bin/true")
    (scripts / "pip").write_text("#!/elsewhere/.venv/bin/python\n")
    (clone / ".venv" / ".installed-dev").touch()

    assert "creating" in make(clone, "--dry-run", "setup").stdout

    (scripts / "pip").write_text(f"#!{scripts}/python\n")
    (clone / ".venv" / ".installed-dev").touch()

    assert "creating" not in make(clone, "--dry-run", "setup").stdout
