"""The page of the first five minutes is what its script writes, and names no place of a machine."""

import re
from pathlib import Path

import pytest
import typer

from cli.main import app
from docs.transcript import SERVICE, STEPS
from shared.settings import REPO_ROOT

PAGE = REPO_ROOT / "docs" / "first-five-minutes.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def typed(text: str) -> list[str]:
    """The commands of the page, each with the lines it goes on in."""
    commands: list[str] = []
    for block in BLOCK.findall(text):
        lines = block.splitlines()
        if lines[0].startswith("$ "):
            more = [line[2:] for line in lines[1:] if line.startswith("> ")]
            commands.append("\n".join([lines[0][2:], *more]))
    return commands


def test_the_page_has_the_headings_and_commands_of_the_script() -> None:
    text = PAGE.read_text()

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [*(step.heading for step in STEPS), "The end"]
    assert typed(text) == [command for step in STEPS for command in step.commands]


def test_every_command_but_the_service_says_how_long_it_took_and_went_well() -> None:
    ends = [block.splitlines()[-1] for block in BLOCK.findall(PAGE.read_text())]

    timed = [end for end in ends if re.fullmatch(r"\[\d+\.\d s\]", end)]
    assert len(timed) == sum(len(step.commands) for step in STEPS if step is not SERVICE)
    assert "exit status" not in PAGE.read_text()


@pytest.mark.parametrize("command", [command for step in STEPS for command in step.commands])
def test_what_is_typed_exists(command: str) -> None:
    if found := re.match(r"make ([a-z-]+)", command):
        assert re.search(rf"^{found[1]}:", (REPO_ROOT / "Makefile").read_text(), re.MULTILINE)
    elif found := re.match(r"\.venv/bin/darkroom ([a-z]+)", command):
        assert found[1] in typer.main.get_command(app).commands  # type: ignore[attr-defined] # it is a group
    else:
        assert command.split(maxsplit=1)[0] in {"git", "curl", "ls"}


def test_no_place_of_the_machine_is_in_the_page() -> None:
    assert re.findall(r"(?<![\w.])/(?:tmp|srv|opt|var|home|root)/\S*", PAGE.read_text()) == []


def test_the_script_needs_no_package() -> None:
    text = (REPO_ROOT / "docs" / "transcript.py").read_text()

    imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert imported <= set(__import__("sys").stdlib_module_names)
    assert Path(PAGE).exists()
