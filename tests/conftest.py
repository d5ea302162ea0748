"""Fixtures of every layer: a real Valkey for the session, and a prefix of its own for each test."""

import secrets
from collections.abc import Iterator
from typing import Any, Final

import fakeredis
import pytest
import redis
from pydantic import SecretStr

from cli.valkey import EmbeddedServer
from shared.redis_clients import sync_client
from shared.settings import JobSettings, RedisSettings

# What starts processes that import torch: its tests run one after another, in one process of pytest-xdist.
SHARED_SERVICES: Final = ("tiny_service", "glyph_service", "shared_cluster")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what belongs together where tests run in several processes: a file's, and a service's."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        service = next((name for name in SHARED_SERVICES if name in fixtures), None)
        item.add_marker(pytest.mark.xdist_group(service or item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(4)}:"


@pytest.fixture
def redis_settings(valkey: EmbeddedServer, prefix: str) -> RedisSettings:
    return RedisSettings(url=SecretStr(valkey.url), prefix=prefix)


@pytest.fixture
def job_settings() -> JobSettings:
    return JobSettings()


class FlaglessFakeRedis(fakeredis.FakeRedis):
    """fakeredis with Lua, for scripts that say their flags in the first line: lupa cannot read that line."""

    def register_script(self, script: Any) -> Any:
        return super().register_script("--" + script)


@pytest.fixture(params=["fakeredis", "valkey"])
def redis_client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """The same store tests on an in-process fake and on a real server."""
    if request.param == "fakeredis":
        yield FlaglessFakeRedis()
        return
    settings: RedisSettings = request.getfixturevalue("redis_settings")
    client = sync_client(settings)
    yield client
    client.close()
