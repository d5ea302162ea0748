"""The command line as a whole: completion, colours, and where errors go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.processes import REPO_ROOT
from tests.integration.cli.terminal import Terminal

COMMAND = (sys.executable, "-m", "cli")


def environment(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO_ROOT), "TERM": "xterm-256color", **variables}


def test_a_shell_is_told_how_a_word_goes_on(tmp_path: Path) -> None:
    asked = environment(
        _DARKROOM_COMPLETE="complete_bash",
        COMP_WORDS="darkroom mod",
        COMP_CWORD="1",
        _TYPER_COMPLETE_ARGS="darkroom mod",
    )

    done = subprocess.run(COMMAND, cwd=tmp_path, env=asked, capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["models"]


def test_colours_are_left_out_where_nobody_wants_them(tmp_path: Path) -> None:
    command = [*COMMAND, "jobs", "--base-url", "http://127.0.0.1:1"]
    said = {}
    for name, variables in (("colours", {}), ("none", {"NO_COLOR": "1"})):
        with Terminal(command, tmp_path, environment(**variables)) as terminal:
            assert terminal.wait() == 1
            said[name] = terminal.output

    assert "\x1b[1;31m" in said["colours"]
    assert "31m" not in said["none"]
    assert "error: no service answers" in said["none"].replace("\x1b[1m", "").replace("\x1b[0m", "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("jobs", "--base-url", "http://127.0.0.1:1"), 1),
        (("generate",), 2),
        (("nothing",), 2),
        (("generate", "a swan", "--n", "many"), 2),
    ],
    ids=str,
)
def test_errors_go_to_stderr_and_wrong_usage_is_2(
    darkroom: Darkroom, arguments: tuple[str, ...], code: int
) -> None:
    result = darkroom(*arguments)

    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr
