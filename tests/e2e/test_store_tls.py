"""The store and the broker over TLS: who signed the certificate is checked, and for which host."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis
import uvloop
from pydantic import SecretStr

from api.store.client import StoreClient
from cli.keyholder import Keyholder
from shared.api_keys import Scope
from shared.bell.ring import Doorbell
from shared.redis_clients import async_client, sync_client
from shared.settings import RedisSettings
from tests.e2e.guarded import ask_for_everything, guarded_service
from tests.store_server import ADMIN, Authority, StoreServer, tls_program

pytestmark = pytest.mark.slow

SALT: Final = b"a salt of the tests"
# The broker's longest wait for an answer is 5 s; the store's 1.5 s.
SOON_S: Final = 8.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tls_program(tmp_path_factory.mktemp("program"))
    if found is None:
        pytest.skip(
            "no Redis or Valkey with TLS here (the embedded one has none); on Debian: apt install redis-tools"
        )
    return found


@pytest.fixture(scope="module")
def store(
    authority: Authority, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoreServer]:
    certificate = authority.certificate("right", "IP:127.0.0.1")
    folder = tmp_path_factory.mktemp("store")
    with StoreServer(folder, "sealed:", program=program, certificate=certificate) as server:
        yield server


def test_the_whole_service_runs_over_tls_as_its_own_users(store: StoreServer, tmp_path: Path) -> None:
    made = Keyholder(store.settings("operator"), SALT).create("a test's", scopes=frozenset(Scope))
    ca_file = str(store.settings("api").ca_file)

    with guarded_service(
        tmp_path, store, DARKROOM_REDIS__CA_FILE=ca_file, DARKROOM_API__OWNER_SALT=SALT.decode()
    ) as service:
        ask_for_everything(service.url, made.text)

    assert store.refusals() == []


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_large_results_are_read_over_tls(store: StoreServer, new_loop: Callable[[], Any]) -> None:
    pictures = [os.urandom(2_000_000).hex().encode(), b"small", os.urandom(70_000).hex().encode()]
    with store.client(ADMIN) as admin:
        admin.hset("sealed:result:1", mapping=dict(enumerate(pictures)))

    async def read() -> list[dict[bytes, bytes]]:
        client = async_client(store.settings("api"))
        asking = StoreClient(client, store.prefix)
        found = [(await asking.ask(lambda pipe: pipe.hgetall("sealed:result:1")))[0] for _ in range(3)]
        await client.aclose()
        return found

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(read()) == [dict(zip((b"0", b"1", b"2"), pictures, strict=True))] * 3


async def ask_async(settings: RedisSettings) -> None:
    client = async_client(settings, retries=0)
    try:
        await client.ping()
    finally:
        await client.aclose()


def ring(settings: RedisSettings) -> None:
    bell = Doorbell(settings)
    try:
        bell.ring("light")
    finally:
        bell.close()


CLIENTS: Final[dict[str, Callable[[RedisSettings], object]]] = {
    "blocking": lambda settings: sync_client(settings, retries=0).ping(),
    "asynchronous": lambda settings: asyncio.run(ask_async(settings)),
    "of the broker": ring,
}


# The broker's client tries for seconds, off the event loop: its certificate checks are enough of that.
OF_THE_STORE: Final = [client for client in CLIENTS if client != "of the broker"]


def assert_refused_soon(client: str, settings: RedisSettings, *reasons: str) -> None:
    started = time.monotonic()
    with pytest.raises((redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)) as caught:
        CLIENTS[client](settings)

    assert time.monotonic() - started < SOON_S
    assert any(reason in str(caught.value) for reason in reasons), str(caught.value)
    password = settings.url.get_secret_value().split(":")[2].split("@")[0]
    assert password not in str(caught.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_of_another_authority_is_refused(
    store: StoreServer, client: str, tmp_path: Path, authority: Authority
) -> None:
    assert authority.cert.exists()
    stranger = Authority(tmp_path, "stranger")

    assert_refused_soon(client, store.settings("api", ca_file=stranger.cert), "CERTIFICATE_VERIFY_FAILED")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_of_another_host_is_refused(
    authority: Authority, program: Path, client: str, tmp_path: Path
) -> None:
    certificate = authority.certificate(f"wrong-{client.replace(' ', '-')}", "DNS:elsewhere.example")
    with StoreServer(tmp_path, "sealed:", program=program, certificate=certificate) as server:
        assert_refused_soon(client, server.settings("api"), "CERTIFICATE_VERIFY_FAILED", "mismatch")


@pytest.mark.parametrize("client", OF_THE_STORE)
def test_a_client_without_tls_is_told_soon_that_this_cannot_be(store: StoreServer, client: str) -> None:
    plain = RedisSettings(url=SecretStr(store.url("api", scheme="redis", database=3)), prefix=store.prefix)

    assert_refused_soon(client, plain, "closed", "reset", "Connection")


@pytest.mark.parametrize("client", OF_THE_STORE)
def test_tls_to_a_server_without_it_is_told_soon_too(
    authority: Authority, client: str, tmp_path: Path
) -> None:
    with StoreServer(tmp_path, "sealed:") as server:
        url = server.url("api", scheme="rediss")
        settings = RedisSettings(url=SecretStr(url), prefix=server.prefix, ca_file=authority.cert)

        assert_refused_soon(client, settings, "SSL", "closed", "Timeout", "reset")
