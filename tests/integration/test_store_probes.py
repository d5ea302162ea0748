"""The checks of the store's health, as compose and the chart run them, against a real server."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT
from tests.store_server import ADMIN, StoreServer
from tests.unit.deploy.charts import of_kind, release
from tests.waiting import wait_until

CLIENT = shutil.which("valkey-cli") or shutil.which("redis-cli")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CLIENT is None, reason="neither valkey-cli nor redis-cli is installed"),
]

PASSWORD = "0123456789abcdef"


def well(
    folder: Path, port: int, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> bool:
    """Whether a check is content; ``valkey-cli`` is this machine's, and the store is at this port."""
    program = folder / "valkey-cli"
    program.write_text(f'#!/bin/sh\nexec {CLIENT} -p {port} "$@"\n')
    program.chmod(0o755)
    variables = {"PATH": f"{folder}:/usr/bin:/bin", **(environment or {})}
    return (
        subprocess.run(command, env=variables, capture_output=True, timeout=10, check=False).returncode == 0
    )


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with its variables, as compose fills them in."""
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: variables[found[1]], text)


def of_compose(name: str, **variables: str) -> tuple[list[str], dict[str, str]]:
    """The check in a compose file, and the environment in which it runs."""
    store = yaml.safe_load((REPO_ROOT / name).read_text())["services"]["valkey"]
    command = [filled(word, variables) for word in store["healthcheck"]["test"]]
    assert command.pop(0) == "CMD"
    return command, {key: filled(text, variables) for key, text in store.get("environment", {}).items()}


def of_chart(probe: str, password: str) -> tuple[list[str], dict[str, str]]:
    """A probe of the chart, and the environment in which it runs."""
    (stateful,) = of_kind(release("default"), "StatefulSet", "valkey")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    assert set(given.values()) == {"$(VALKEY_PASSWORD)"}
    return container[probe]["exec"]["command"], dict.fromkeys(given, password)


def rewritten(said: Mapping[str, Any]) -> bool:
    return not (said["aof_rewrite_in_progress"] or said["aof_rewrite_scheduled"])


@pytest.fixture
def closed(tmp_path: Path) -> Any:
    with EmbeddedServer(tmp_path / "data") as server, redis.Redis(port=server.port) as client:
        client.config_set("requirepass", PASSWORD)
        yield server


def test_compose_wants_a_pong_with_the_password(closed: EmbeddedServer, tmp_path: Path) -> None:
    def healthy(password: str) -> bool:
        check = of_compose("docker-compose.yml", DARKROOM_STORE_PASSWORD=password)
        return well(tmp_path, closed.port, *check)

    assert healthy(PASSWORD)
    assert not healthy("another")
    assert not healthy("")


def test_compose_wants_no_password_where_there_is_none(tmp_path: Path) -> None:
    check = of_compose("docker-compose.yml", DARKROOM_STORE_PASSWORD="")

    with EmbeddedServer(tmp_path / "data") as server:
        assert well(tmp_path, server.port, *check)
    assert not well(tmp_path, server.port, *check), "nobody answers any more"


def test_with_users_compose_asks_as_the_one_for_metrics(tmp_path: Path) -> None:
    with StoreServer(tmp_path, "probed:") as server:

        def healthy(url: str) -> bool:
            command, _ = of_compose("docker-compose.acl.yml", DARKROOM_METRICS_REDIS_URL=url)
            _, environment = of_compose("docker-compose.yml", DARKROOM_STORE_PASSWORD="")
            return well(tmp_path, server.port, command, environment)

        assert healthy(server.url("metrics"))
        assert not healthy(server.url("metrics", "another"))
        assert not healthy(server.url("nobody", ADMIN))


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_the_chart_wants_the_password(closed: EmbeddedServer, tmp_path: Path, probe: str) -> None:
    assert well(tmp_path, closed.port, *of_chart(probe, PASSWORD))
    assert not well(tmp_path, closed.port, *of_chart(probe, "another"))
    closed.stop()
    assert not well(tmp_path, closed.port, *of_chart(probe, PASSWORD))


@pytest.mark.slow
def test_a_store_that_loads_its_file_is_alive_and_not_ready(tmp_path: Path) -> None:
    slowly = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    with EmbeddedServer(tmp_path / "data", options=slowly) as server:
        with redis.Redis(port=server.port) as client:
            client.mset({f"key {number}": "x" * 100 for number in range(500)})
            client.bgrewriteaof()
            wait_until(lambda: rewritten(client.info("persistence")), what="the file to be one of keys")
        server.stop()
        server.child.start()

        def content(probe: str) -> bool:
            return well(tmp_path, server.port, *of_chart(probe, ""))

        wait_until(lambda: content("livenessProbe"), 10, "the store to answer")
        assert not content("readinessProbe")
        compose = of_compose("docker-compose.yml", DARKROOM_STORE_PASSWORD="")
        assert not well(tmp_path, server.port, *compose)
        server.kill()
