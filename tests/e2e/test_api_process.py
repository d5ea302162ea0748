"""The API as a process: it says what is wrong and ends, or serves until it is told to stop."""

import signal
from pathlib import Path

import pytest

from cli.valkey import EmbeddedServer
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
        assert api.wait(30), "the API still runs"
    finally:
        api.kill()

    assert api.process.returncode == 1
    lines = api.program.log.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("darkroom api: ")
    assert any(said in line for line in lines)
    assert not any("Traceback" in line for line in lines)


def test_it_stops_when_it_is_told_to(
    tiny_service: RunningService, valkey: EmbeddedServer, tmp_path: Path
) -> None:
    settings = {**tiny_service.environment, "DARKROOM_API__PORT": "0", "DARKROOM_REDIS__URL": valkey.url}
    api = process("api", API, tmp_path, **settings)
    api.start()
    try:
        wait_until(lambda: "Uvicorn running" in api.program.log.read_text(encoding="utf-8"), timeout_s=20)
        api.send(signal.SIGTERM)
        assert api.wait(10), "the API still runs"
    finally:
        api.kill()

    assert api.process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in api.program.log.read_text(encoding="utf-8")
