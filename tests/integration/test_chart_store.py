"""The chart's Valkey, started with its own command and settings: closed, durable, and it forgets nothing."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.ports import free_port
from cli.servers import find_server
from tests.unit.deploy.charts import of_kind, release
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

PASSWORD = "0123456789abcdef"


def placed(text: str, folder: Path) -> str:
    """The text with the places of the container put into a folder."""
    return re.sub(r"/(etc/valkey|tmp|data)\b", str(folder), text)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    (config,) = of_kind(release("default"), "ConfigMap", "valkey")
    (stateful,) = of_kind(release("default"), "StatefulSet", "valkey")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    *shell, script = container["command"]
    port = free_port()
    text = placed(config["data"]["valkey.conf"], tmp_path)
    (tmp_path / "valkey.conf").write_text(f"{text}port {port}\nbind 127.0.0.1\n")
    script = placed(script, tmp_path).replace("valkey-server", str(find_server().path))
    environment = {"VALKEY_PASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*shell, script], env=environment, stdout=log, stderr=log)
    client = redis.Redis(port=port, password=PASSWORD, protocol=2)
    try:
        wait_until(lambda: answers(client, process, tmp_path / "log"), 10, "the store")
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(10)


def answers(client: redis.Redis, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False


def test_the_store_wants_its_password_keeps_a_file_and_never_evicts(store: Any) -> None:
    settings = store.config_get("append*", "maxmemory*", "save")
    port = store.connection_pool.connection_kwargs["port"]

    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"
    assert int(settings["maxmemory"]) == 1024**3
    assert settings["save"] == ""
    stranger = redis.Redis(port=port, protocol=2, retry=Retry(NoBackoff(), 0))
    with stranger, pytest.raises(redis.exceptions.AuthenticationError):
        stranger.ping()
