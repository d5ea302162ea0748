"""Fixtures of the command line's tests: a service to talk to, and a terminal to type into."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from tests.integration.cli.service import FakeService, fake_service

Darkroom = Callable[..., Result]


@pytest.fixture
def service() -> Iterator[FakeService]:
    with fake_service() as service:
        yield service


@pytest.fixture
def darkroom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Darkroom:
    """Run the command in an empty folder, on a terminal wide enough not to break lines."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})

    def run(*arguments: str, **environment: str) -> Result:
        return runner.invoke(app, list(arguments), env=environment)

    return run
