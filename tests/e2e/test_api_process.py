"""The API as a process: it says what is wrong and ends, or serves until it is told to stop."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.valkey import EmbeddedServer
from tests.e2e.api_process import ApiProcess
from tests.integration.cli.processes import is_alive
from tests.service import API, RunningService, process
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DARKROOM_MODELS__CATALOGUE": "/nowhere/catalog.toml"}, "/nowhere/catalog.toml"),
        ({"DARKROOM_API__MAX_N": "11"}, "max_n"),
        ({"DARKROOM_API__PROT": "8000"}, "prot"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_end_it_with_what_is_wrong(
    valkey: EmbeddedServer, tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    api = process("api", API, tmp_path, DARKROOM_REDIS__URL=valkey.url, DARKROOM_API__PORT="0", **environment)
    api.start()
    try:
        assert api.wait(120), "the API still runs"
    finally:
        api.kill()

    assert api.process.returncode == 1
    lines = api.program.log.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("darkroom api: ")
    assert any(said in line for line in lines)
    assert not any("Traceback" in line for line in lines)


def test_it_may_hold_as_many_calls_as_the_hard_limit_of_open_files_allows(
    tiny_service: RunningService, valkey: EmbeddedServer, tmp_path: Path
) -> None:
    settings = {**tiny_service.environment, "DARKROOM_API__PORT": "0", "DARKROOM_REDIS__URL": valkey.url}
    limited = ("sh", "-c", 'ulimit -Sn 100; ulimit -Hn 5000; exec "$@"', "sh", *API)
    api = process("api", limited, tmp_path, **settings)
    api.start()
    try:
        wait_until(lambda: "Uvicorn running" in api.program.log.read_text(encoding="utf-8"), timeout_s=20)
        limits = Path(f"/proc/{api.process.pid}/limits").read_text()
    finally:
        api.kill()

    assert re.search(r"^Max open files +5000 +5000 ", limits, re.MULTILINE)


def test_it_stops_when_it_is_told_to(
    tiny_service: RunningService, valkey: EmbeddedServer, tmp_path: Path
) -> None:
    settings = {**tiny_service.environment, "DARKROOM_API__PORT": "0", "DARKROOM_REDIS__URL": valkey.url}
    api = process("api", API, tmp_path, **settings)
    api.start()
    try:
        wait_until(lambda: "Uvicorn running" in api.program.log.read_text(encoding="utf-8"), timeout_s=20)
        api.send(signal.SIGTERM)
        assert api.wait(60), "the API still runs"
    finally:
        api.kill()

    assert api.process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in api.program.log.read_text(encoding="utf-8")


def test_a_service_that_others_reach_does_not_start_without_a_key(
    valkey: EmbeddedServer, tmp_path: Path, prefix: str
) -> None:
    settings = {"REDIS__URL": valkey.url, "REDIS__PREFIX": prefix, "API__PORT": "0", "API__HOST": "0.0.0.0"}
    api = process("api", API, tmp_path, **{f"DARKROOM_{name}": value for name, value in settings.items()})
    api.start()
    try:
        assert api.wait(120), "the API still runs"
    finally:
        api.kill()

    assert api.process.returncode == 1
    assert "darkroom keys create" in api.program.log.read_text(encoding="utf-8")


class Several(ApiProcess):
    """Three API processes on one port."""

    def __init__(self, valkey: EmbeddedServer, folder: Path, prefix: str) -> None:
        super().__init__(valkey, folder, prefix, API__PROCESSES="3")

    def children(self) -> set[int]:
        """The processes that serve; Python's resource tracker is a child too."""
        pid = self.child.process.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(each) for each in found if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text()}


@pytest.fixture
def several(valkey: EmbeddedServer, tmp_path: Path, prefix: str) -> Iterator[Several]:
    several = Several(valkey, tmp_path, prefix)
    several.child.start()
    try:
        wait_until(several.alive, timeout_s=120, what="an answer")
        wait_until(lambda: len(several.children()) == 3, timeout_s=120, what="three processes")
        yield several
    finally:
        several.child.kill()


@pytest.mark.slow
def test_a_process_of_several_that_dies_is_started_again(several: Several) -> None:
    before = several.children()

    os.kill(min(before), signal.SIGKILL)

    wait_until(
        lambda: len(several.children()) == 3 and several.children() != before,
        timeout_s=20,
        what="another process",
    )
    assert several.alive()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_several_processes_end_with_the_one_that_started_them(
    several: Several, signum: signal.Signals
) -> None:
    children = several.children()

    several.child.send(signum)

    assert several.child.wait(60), "the API still runs"
    wait_until(lambda: not any(map(is_alive, children)), timeout_s=20, what="the end of every process")
    assert not several.alive()
