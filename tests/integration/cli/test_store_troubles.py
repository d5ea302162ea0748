"""A wrong port, host or password is told as that, by whatever asks Redis, and without the password."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cli.checks import Verdict, check_redis
from cli.ports import free_port
from cli.valkey import EmbeddedServer
from shared.errors import StoreUnavailable
from shared.redis_clients import UNREACHABLE, async_client, sync_client
from shared.redis_reasons import Trouble, reason_of, trouble_of
from shared.settings import RedisSettings
from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.service import fake_service

PASSWORD = "QZWJ/qzwj"
WRITTEN = PASSWORD.replace("/", "%2F")


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedServer]:
    """A server with a password."""
    with EmbeddedServer() as server:
        client: Any
        with sync_client(RedisSettings(url=SecretStr(server.url))) as client:
            client.config_set("requirepass", PASSWORD)
        yield server


@pytest.fixture(scope="module")
def open_server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address with something wrong in it."""
    what: str = request.param
    if what == "silent":
        with silent_port() as port:
            yield f"redis://:{WRITTEN}@127.0.0.1:{port}/0"
    elif what == "http":
        with fake_service() as service:
            yield f"redis://:{WRITTEN}@127.0.0.1:{service.port}/0"
    elif what in {"wrong", "none"}:
        server: EmbeddedServer = request.getfixturevalue("guarded")
        login = f":x{WRITTEN}@" if what == "wrong" else ""
        yield f"redis://{login}127.0.0.1:{server.port}/0"
    elif what == "needless":
        server = request.getfixturevalue("open_server")
        yield f"redis://:{WRITTEN}@127.0.0.1:{server.port}/0"
    elif what == "plain":
        server = request.getfixturevalue("open_server")
        yield f"rediss://127.0.0.1:{server.port}/0"
    elif what == "plain http":
        with fake_service() as service:
            yield f"rediss://127.0.0.1:{service.port}/0"
    elif what == "host":
        yield f"redis://:{WRITTEN}@no-such-host.invalid:6379/0"
    else:
        yield f"redis://:{WRITTEN}@127.0.0.1:{free_port()}/0"


CASES = [
    ("wrong", Trouble.WRONG_LOGIN, "correct user and password"),
    ("none", Trouble.NO_LOGIN, "correct user and password"),
    ("needless", Trouble.NEEDLESS_LOGIN, "correct user and password"),
    ("http", Trouble.NO_REDIS, "correct the port"),
    ("refused", Trouble.REFUSED, "correct the port"),
    ("host", Trouble.NO_SUCH_HOST, "correct the host"),
    ("silent", Trouble.SILENT, "start it"),
    ("plain", Trouble.SILENT, "start it"),
    ("plain http", Trouble.NO_TLS, "write redis://"),
]


def failure_of(settings: RedisSettings, *, asynchronous: bool) -> BaseException:
    async def ping() -> None:
        async with async_client(settings, retries=0) as client:
            await client.ping()

    with pytest.raises(UNREACHABLE) as caught:  # noqa: PT012 - two ways to the same
        if asynchronous:
            asyncio.run(ping())
        else:
            with sync_client(settings, retries=0) as client:
                client.ping()
    return caught.value


@pytest.mark.parametrize("asynchronous", [False, True], ids=["blocking", "async"])
@pytest.mark.parametrize(("url", "trouble", "mend"), CASES, indirect=["url"], ids=[case[0] for case in CASES])
def test_what_is_wrong_is_told_as_that(url: str, trouble: Trouble, mend: str, *, asynchronous: bool) -> None:
    settings = RedisSettings(url=SecretStr(url), timeout_s=0.5, connect_timeout_s=2)

    error = failure_of(settings, asynchronous=asynchronous)
    finding = check_redis(settings)

    assert trouble_of(error) is trouble
    for said in (reason_of(error), reason_of(StoreUnavailable()), finding.detail, finding.mend):
        assert PASSWORD not in said
        assert WRITTEN not in said
    assert reason_of(error).startswith(trouble.value)
    assert finding.verdict is Verdict.MISSING
    assert trouble.value in finding.detail
    assert mend in finding.mend


@pytest.mark.parametrize("url", ["wrong", "http", "refused", "host"], indirect=True)
def test_up_tells_it_on_one_line_before_it_starts_anything(
    url: str, darkroom: Darkroom, tmp_path: Path
) -> None:
    result = darkroom("up", "--port", str(free_port()), "--redis-url", url)

    assert result.exit_code == 1
    assert result.stderr.startswith("error: redis://")
    assert WRITTEN not in result.output
    assert "what to do: " in result.stderr
    assert not (tmp_path / ".darkroom" / "logs").exists()


GIVEN = [("variable", command) for command in ("up", "keys list", "jobs dead", "doctor")]
GIVEN += [("option", command) for command in ("up", "keys list", "jobs dead")]


@pytest.mark.parametrize(("given", "command"), GIVEN)
def test_the_address_of_the_issue_is_refused_with_the_advice(
    given: str, command: str, darkroom: Darkroom
) -> None:
    url = "redis://:p@ss/w#rd%1@127.0.0.1:6379/0"
    variable = {"DARKROOM_REDIS__URL": url} if given == "variable" else {}
    option = ["--redis-url", url] if given == "option" else []

    result = darkroom(*command.split(), *option, **variable)

    assert result.exit_code == 1
    assert "is written as %XX" in result.stderr
    assert ("DARKROOM_REDIS__URL: " if variable else "--redis-url: ") in result.stderr
    secret = "p@ss/w#rd%1"
    assert [secret[i : i + 4] for i in range(len(secret) - 3) if secret[i : i + 4] in result.output] == []


def test_an_address_of_the_service_is_told_without_its_password(
    darkroom: Darkroom,
) -> None:
    result = darkroom("models", "--base-url", f"http://user:{WRITTEN}@127.0.0.1:{free_port()}")

    assert "no service answers at http://127.0.0.1" in result.output
    assert WRITTEN not in result.output
