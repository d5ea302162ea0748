"""What the documents name exists: variables, make targets, files, headings."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.main import app
from docs.tables import settings_rows
from shared.settings import REPO_ROOT
from tests.unit.docs.documents import anchors, documents, links, name

COMPOSE = [REPO_ROOT / f"docker-compose{part}.yml" for part in ("", ".gpu", ".gpus", ".flower")]


def settings() -> set[str]:
    return {row[0].strip("`") for row in settings_rows()}


def options_of_the_command_line() -> set[str]:
    return set(re.findall(r'envvar="(\w+)"', (REPO_ROOT / "cli" / "options.py").read_text()))


def variables_of_compose() -> set[str]:
    return {name for file in COMPOSE for name in re.findall(r"\$\{(\w+)", file.read_text())}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (REPO_ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", documents(), ids=name)
def test_every_variable_a_document_names_is_read_by_something(document: Path) -> None:
    named = set(re.findall(r"\bDARKROOM_[A-Z][A-Z0-9_]*[A-Z0-9]", document.read_text()))

    assert named <= settings() | options_of_the_command_line() | variables_of_compose()


def test_every_variable_of_compose_is_explained() -> None:
    text = (REPO_ROOT / "docs" / "containers.md").read_text()

    assert variables_of_compose() <= set(re.findall(r"`(DARKROOM_\w+)`", text))


def test_compose_hands_on_nothing_but_settings() -> None:
    services = [
        service for file in COMPOSE for service in yaml.safe_load(file.read_text())["services"].values()
    ]

    handed_on = {variable for service in services for variable in service.get("environment", {})}
    # Grafana, Flower and the client of Valkey have variables of their own.
    named = {
        each
        for each in handed_on
        if not each.startswith(("GF_", "FLOWER_", "CELERY_", "VALKEYCLI_", "REDISCLI_"))
    }

    assert named
    assert named <= settings()


@pytest.mark.parametrize("document", documents(), ids=name)
def test_every_make_target_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", document.read_text(), re.MULTILINE))

    assert named <= make_targets()


@pytest.mark.parametrize("document", documents(), ids=name)
def test_every_command_and_option_of_darkroom_that_a_document_names_exists(document: Path) -> None:
    for words, rest in re.findall(r"\bdarkroom ((?:[a-z]+\b ?)+)([^`\n#]*)", document.read_text()):
        command: Any = typer.main.get_command(app)
        for word in words.split():
            if commands := getattr(command, "commands", {}):
                assert word in commands, f"darkroom {words}"
                command = commands[word]
        options = {option for parameter in command.params for option in parameter.opts}
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest))
        assert named <= options | {"--help"}, f"darkroom {words}{rest}"


@pytest.mark.parametrize("document", documents(), ids=name)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for link in links(document.read_text()):
        if link.startswith("https://"):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        assert target.exists(), link
        assert target.is_relative_to(REPO_ROOT), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_commands_to_start_with_stand_at_the_top_of_the_readme() -> None:
    top = (REPO_ROOT / "README.md").read_text().partition("\n## ")[0].splitlines()

    assert [line.split("#")[0].strip() for line in top if line.startswith("make ")] == [
        "make demo",
        "make up",
        "make test",
    ]


def test_the_readme_leads_to_every_page() -> None:
    pages = {f"docs/{page.name}" for page in (REPO_ROOT / "docs").glob("*.md")}

    missing = pages - set(links((REPO_ROOT / "README.md").read_text()))
    assert missing == set(), "add a row under Where to go next"


def test_the_tree_of_the_architecture_names_what_is_there() -> None:
    tree = (
        (REPO_ROOT / "ARCHITECTURE.md")
        .read_text()
        .partition("## Where what lives")[2]
        .partition("## Rules")[0]
    )
    folders = set(re.findall(r"^([a-z]+)/", tree, re.MULTILINE))

    assert folders
    assert {folder for folder in folders if not (REPO_ROOT / folder).is_dir()} == set()
    packages = {path.parent.name for path in REPO_ROOT.glob("*/__init__.py")}
    assert packages <= folders
