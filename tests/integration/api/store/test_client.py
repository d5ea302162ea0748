"""The client of every request: replies, errors, and what happens when the server is slow or goes away."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from urllib.parse import urlsplit

import hiredis
import pytest
import redis
from pydantic import SecretStr

from api.store.client import PATIENCE_S, StoreClient
from cli.ports import LOOPBACK
from cli.valkey import EmbeddedServer
from shared.errors import JobNotFound, StoreUnavailable
from shared.redis_clients import async_client, sync_client
from shared.settings import RedisSettings

PROMISED_S = 2.0

Connect = Callable[[str], StoreClient]


@pytest.fixture(scope="module")
def mortal() -> Iterator[EmbeddedServer]:
    """A server of the module's own, to be killed, frozen and started again."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def server(mortal: EmbeddedServer) -> Iterator[redis.Redis]:
    with sync_client(RedisSettings(url=SecretStr(mortal.url))) as client:
        client.flushall()
        yield client


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        def make(url: str) -> StoreClient:
            maker = async_client(RedisSettings(url=SecretStr(url)))
            stack.push_async_callback(maker.aclose)
            return StoreClient(maker, "client:")

        yield make


@pytest.fixture
def client(connect: Connect, mortal: EmbeddedServer) -> StoreClient:
    return connect(mortal.url)


async def echo(client: StoreClient, *words: object) -> list[object]:
    return await client.ask(lambda pipe: [pipe.echo(word) for word in words])


async def timed(client: StoreClient) -> float:
    """How long it takes to be told that the server is away."""
    began_at = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await echo(client, "anybody there?")
    return time.monotonic() - began_at


async def test_each_of_many_gets_its_own_replies(client: StoreClient, server: redis.Redis) -> None:
    found = await asyncio.gather(*(echo(client, number, -number) for number in range(500)))

    assert found == [[b"%d" % number, b"%d" % -number] for number in range(500)]
    assert len([each for each in server.client_list() if each["cmd"] == "echo"]) <= 64


async def test_whoever_gives_up_does_not_shift_the_replies_of_others(client: StoreClient) -> None:
    await echo(client, "hello")
    for moment in range(12):
        tasks = [asyncio.create_task(echo(client, number)) for number in range(20)]
        for _ in range(moment):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()

        found = await asyncio.gather(*tasks, return_exceptions=True)

        assert found[1::2] == [[b"%d" % number] for number in range(1, 20, 2)]
        assert await echo(client, "still") == [b"still"]


async def test_what_the_server_refuses_is_an_error(client: StoreClient, server: redis.Redis) -> None:
    server.set("word", "text")

    with pytest.raises(redis.exceptions.ResponseError):
        await client.ask(lambda pipe: (pipe.echo("before"), pipe.hget("word", "field")))

    assert await echo(client, "after") == [b"after"]


async def test_a_script_that_the_server_does_not_know_is_told(
    client: StoreClient, server: redis.Redis
) -> None:
    for _ in range(2):
        server.script_flush()
        with pytest.raises(JobNotFound):
            await client.run("cancel", job="client:job:none", id="none", owner="me")


async def test_a_server_that_comes_back_is_asked_again(client: StoreClient, mortal: EmbeddedServer) -> None:
    await echo(client, "hello")
    mortal.kill()
    assert await timed(client) < PROMISED_S

    mortal.start()

    assert await echo(client, "again") == [b"again"]


async def test_a_connection_that_was_cut_is_not_noticed_by_who_asks(
    client: StoreClient, server: redis.Redis
) -> None:
    await echo(client, "hello")
    asked = asyncio.gather(*(echo(client, number) for number in range(50)))
    await asyncio.sleep(0)
    await asyncio.to_thread(server.client_kill_filter, _type="normal", skipme=True)

    assert await asked == [[b"%d" % number] for number in range(50)]
    assert await echo(client, "again") == [b"again"]


async def test_a_silent_server_is_given_up_in_time_by_everyone(
    client: StoreClient, mortal: EmbeddedServer
) -> None:
    await echo(client, "hello")
    process = mortal.process
    process.send_signal(signal.SIGSTOP)
    try:
        took_s = await asyncio.gather(*(timed(client) for _ in range(100)))
    finally:
        process.send_signal(signal.SIGCONT)

    assert max(took_s) < PROMISED_S
    assert await echo(client, "again") == [b"again"]


@asynccontextmanager
async def served(talk: Callable[..., object]) -> AsyncIterator[str]:
    """Serve so; the URL."""
    server = await asyncio.start_server(talk, LOOPBACK, 0)
    yield f"redis://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.parametrize(
    "reply", [b"$2000000\r\n" + b"a" * 1000, b"+" + b"a" * 1000, b"*9\r\n:1\r\n:2\r\n:3"]
)
async def test_a_server_that_drips_is_given_up_in_time(connect: Connect, reply: bytes) -> None:
    """Each byte comes long before any time-out of a read."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        with suppress(ConnectionError), closing(writer):
            while data := await reader.read(1000):
                commands.feed(data)
                while command := commands.gets():
                    if command[0] != b"ECHO":
                        writer.write(b"+OK\r\n")
                        continue
                    for byte in reply:
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(0.2)

    async with served(drip) as url:
        client = connect(url)
        took_s = await asyncio.gather(*(timed(client) for _ in range(5)))

    assert PATIENCE_S * 0.9 < min(took_s) <= max(took_s) < PROMISED_S


async def test_a_server_that_is_slow_with_each_of_many_is_given_up_in_time(connect: Connect) -> None:
    """Twelve commands of 0.3 s each, each less than any time-out of a read, are 3.6 s."""

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        with suppress(ConnectionError), closing(writer):
            while data := await reader.read(1000):
                commands.feed(data)
                while command := commands.gets():
                    await asyncio.sleep(0.3 if command[0] == b"ECHO" else 0)
                    writer.write(b"+OK\r\n")

    async with served(slowly) as url:
        began_at = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await echo(connect(url), *range(12))

    assert time.monotonic() - began_at < PROMISED_S


async def test_a_server_that_speaks_something_else_is_no_server(connect: Connect) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with served(talk) as url:
        assert await timed(connect(url)) < PROMISED_S


@pytest.mark.parametrize("seed", range(2))
async def test_a_value_may_come_in_any_pieces(
    connect: Connect, server: redis.Redis, mortal: EmbeddedServer, seed: int
) -> None:
    dice = random.Random(seed)
    values = [dice.randbytes(size) for size in (1, 70_000, 2_500_000, 0, 65_534, 65_536)]
    server.hset("values", mapping=dict(enumerate(values)))

    async def pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(LOOPBACK, urlsplit(mortal.url).port)
        back = asyncio.create_task(cut_up(from_server, writer, dice))
        while data := await reader.read(65536):
            to_server.write(data)
        to_server.close()
        await back

    async with served(pieces) as url:
        client = connect(url)
        for _ in range(2):
            (found,) = await client.ask(lambda pipe: pipe.hgetall("values"))
            assert [found[b"%d" % place] for place in range(len(values))] == values


async def cut_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dice: random.Random) -> None:
    with suppress(ConnectionError), closing(writer):
        while data := await reader.read(2**20):
            while data:
                size = dice.choice((1, 2, 3, 100, 5_000, 65_535, 65_536, 400_000))
                writer.write(data[:size])
                data = data[size:]
                await writer.drain()
                await asyncio.sleep(0.0005)
