"""Passwords, keys and salts are in nothing that a process writes or says, whatever goes wrong."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from cli.keyholder import Keyholder
from cli.ports import free_port
from shared.api_keys import Scope
from shared.settings import REPO_ROOT
from tests.e2e.guarded import LIGHT_WORKER, guarded_service
from tests.http_caller import ASYNC, JOBS, HttpCaller
from tests.keys import found, secret_of
from tests.service import API, RunningService, process
from tests.store_server import ADMIN, StoreServer
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SALT: Final = "marker-of-the-owner-salt"
WRONG_KEY: Final = "dk_0123456789abcdef_" + "marker-of-a-wrong-key".ljust(43, "x")
USER: Final = "marker-of-a-user@example.org"
PASSWORD: Final = "marker-of-a-password"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with StoreServer(tmp_path_factory.mktemp("store"), "secret:") as server:
        yield server


@pytest.fixture
def service(store: StoreServer, tmp_path: Path) -> Iterator[RunningService]:
    with guarded_service(
        tmp_path, store, DARKROOM_API__OWNER_SALT=SALT, DARKROOM_LOG__LEVEL="debug"
    ) as running:
        yield running


def assert_nothing_of(secrets: list[str], texts: dict[str, str]) -> None:
    assert found(secrets, texts) == []


def test_a_service_that_works_crashes_and_loses_its_store_tells_no_secret(
    store: StoreServer, service: RunningService
) -> None:
    made = Keyholder(store.settings("operator"), SALT.encode()).create("a test's", scopes=frozenset(Scope))
    said: dict[str, str] = {}
    with HttpCaller(service.url, made.text) as caller, HttpCaller(service.url, WRONG_KEY) as stranger:
        said["refused"] = stranger.generate(user=USER).text
        assert caller.generate({"Idempotency-Key": PASSWORD}, user=USER).status_code == 200
        failed = caller.submit(prompt="poison:raise", user=USER)
        wait_until(lambda: caller.job(failed)["status"] == "failed", what="the failure")
        with store.client(ADMIN) as admin:
            admin.hset(f"secret:job:{failed}", "status", "no such status")
        crash = caller.http.get(f"{JOBS}/{failed}")
        assert crash.status_code == 500
        for path in ("/v1/operator", "/metrics", "/v1/usage", "/openapi.json", "/readyz", "/v1/models"):
            said[path] = caller.http.get(path).text
        store.stop()
        away = caller.generate(ASYNC, user=USER)
        assert away.status_code == 503
        said |= {"crash": crash.text, "away": away.text, "headers": str(crash.headers) + str(away.headers)}
        logs = {child.program.name: child.program.log for child in (service.api, service.worker)}
        for log in logs.values():
            wait_until(
                lambda log=log: "ConnectionError" in log.read_text() or "Error 111" in log.read_text(), 20
            )
    service.api.send(signal.SIGTERM)
    service.api.wait(10)
    store.start()

    said |= {name: log.read_text(encoding="utf-8") for name, log in logs.items()}
    assert "Traceback" in said["api"]
    assert "redis" in said["worker"].lower()
    secrets = [
        *store.passwords.values(),
        made.text,
        secret_of(made.text),
        WRONG_KEY,
        SALT,
        USER,
        PASSWORD,
    ]
    assert_nothing_of(secrets, said)


@pytest.mark.parametrize("command", [API, LIGHT_WORKER], ids=["api", "worker"])
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DARKROOM_REDIS__URL", f"redis://user:{PASSWORD}/slash@127.0.0.1:1/0"),
        ("DARKROOM_REDIS__PASSWORD", PASSWORD),
    ],
    ids=["url", "unknown"],
)
def test_settings_that_are_wrong_are_told_without_what_they_are(
    command: tuple[str, ...], variable: str, value: str, tmp_path: Path
) -> None:
    program = process("program", command, tmp_path, **{variable: value, "DARKROOM_API__OWNER_SALT": SALT})
    program.start()
    try:
        assert program.wait(120)
    finally:
        program.kill()

    said = program.program.log.read_text(encoding="utf-8")
    assert program.process.returncode == 1
    assert "redis" in said.lower()
    assert_nothing_of([PASSWORD, SALT], {"said": said})


@pytest.mark.parametrize("command", ["doctor", "up", "keys list", "jobs dead"])
def test_commands_that_cannot_reach_the_store_name_it_without_its_password(
    command: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "DARKROOM_REDIS__URL": f"redis://user:{PASSWORD}@127.0.0.1:1/0",
        "DARKROOM_API__OWNER_SALT": SALT,
        "DARKROOM_API__PORT": str(free_port()),
        "PYTHONPATH": str(REPO_ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", "cli", *command.split(" ")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stdout + done.stderr
    assert_nothing_of([PASSWORD, SALT], {"stdout": done.stdout, "stderr": done.stderr})
