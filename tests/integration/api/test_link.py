"""The one connection of all requests: order, errors, and what happens when the server goes away."""

import asyncio
import gc
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from urllib.parse import urlsplit

import hiredis
import pytest
import redis
from pydantic import SecretStr

from api.bulk import BulkReader
from api.link import Link, packed
from cli.ports import LOOPBACK
from cli.valkey import EmbeddedServer
from shared.redis_clients import async_client, sync_client
from shared.settings import RedisSettings

PATIENCE_S = 1.0


@pytest.fixture(scope="module")
def mortal() -> Iterator[EmbeddedServer]:
    """A server of the module's own, to be killed, frozen and started again."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def settings(mortal: EmbeddedServer) -> RedisSettings:
    return RedisSettings(url=SecretStr(mortal.url), timeout_s=0.4)


@pytest.fixture
def client(settings: RedisSettings) -> Iterator[redis.Redis]:
    with sync_client(settings) as client:
        client.flushall()
        yield client


@pytest.fixture
async def link(settings: RedisSettings) -> AsyncIterator[Link]:
    maker = async_client(settings)
    link = Link(maker.connection_pool, PATIENCE_S)
    yield link
    link.close()
    await maker.aclose()


@pytest.fixture
async def reader(settings: RedisSettings) -> AsyncIterator[BulkReader]:
    maker = async_client(settings)
    reader = BulkReader(maker.connection_pool)
    yield reader
    reader.close()
    await maker.aclose()


async def test_each_of_many_gets_its_own_replies_over_one_connection(link: Link, client: redis.Redis) -> None:
    asked = [link.ask(packed("ECHO", number), packed("ECHO", -number)) for number in range(500)]

    found = await asyncio.gather(*asked)

    assert found == [[b"%d" % number, b"%d" % -number] for number in range(500)]
    assert len([each for each in client.client_list() if each["cmd"] == "echo"]) == 1


@asynccontextmanager
async def slow_with_each() -> AsyncIterator[str]:
    """Serve as a server that takes 0.3 s for each PING: less than the longest wait for a reply. Its URL."""
    serving = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        commands = hiredis.Reader()
        with suppress(ConnectionError), closing(writer):
            while data := await reader.read(1000):
                commands.feed(data)
                while (command := commands.gets()) and not writer.is_closing():
                    await asyncio.sleep(0.3 if command[0] == b"PING" else 0)
                    writer.write(b"+OK\r\n")

    async with await asyncio.start_server(serve, LOOPBACK, 0) as server:
        yield f"redis://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*serving)


async def test_nobody_waits_longer_than_its_patience_on_a_server_that_is_slow_with_everyone() -> None:
    async with slow_with_each() as url:
        maker = async_client(RedisSettings(url=SecretStr(url), timeout_s=0.4))
        link = Link(maker.connection_pool, PATIENCE_S)

        async def timed() -> tuple[float, bool]:
            began_at = time.monotonic()
            try:
                await link.ask(packed("PING"))
            except TimeoutError:
                return time.monotonic() - began_at, False
            return time.monotonic() - began_at, True

        await link.ask(packed("ECHO"))
        found = await asyncio.gather(*(timed() for _ in range(8)))
        link.close()
        await maker.aclose()

    assert {answered for _, answered in found} == {True, False}
    assert max(took_s for took_s, _ in found) < 2 * PATIENCE_S  # the last answer comes after 2.4 s


async def test_whoever_gives_up_does_not_shift_the_replies_of_others(link: Link) -> None:
    await link.ask(packed("PING"))
    tasks = [asyncio.create_task(link.ask(packed("ECHO", number))) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    found = await asyncio.gather(*tasks, return_exceptions=True)

    assert found[1::2] == [[b"%d" % number] for number in range(1, 20, 2)]
    assert all(isinstance(each, asyncio.CancelledError) for each in found[::2])


async def test_what_is_asked_of_nobody_has_no_replies(link: Link) -> None:
    assert await link.ask() == []


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("EVALSHA", "0" * 40, 0), redis.exceptions.NoScriptError),
        (("HGET", "word", "field"), redis.exceptions.ResponseError),
        (("NOTHING",), redis.exceptions.ResponseError),
    ],
)
async def test_an_error_is_a_reply_among_others(
    link: Link, command: tuple[str, ...], error: type[Exception]
) -> None:
    replies = await link.ask(packed("SET", "word", "text"), packed(*command), packed("GET", "word"))

    assert (replies[0], replies[2]) == (b"OK", b"text")
    assert isinstance(replies[1], error)


async def test_a_server_that_comes_back_is_asked_again(link: Link, mortal: EmbeddedServer) -> None:
    await link.ask(packed("PING"))
    mortal.kill()
    with pytest.raises((redis.exceptions.ConnectionError, TimeoutError)):
        await link.ask(packed("PING"))

    mortal.start()

    assert await link.ask(packed("PING")) == [b"PONG"]


async def test_a_connection_that_was_cut_is_not_noticed_by_who_asks(link: Link, client: redis.Redis) -> None:
    await link.ask(packed("PING"))
    asked = asyncio.gather(*(link.ask(packed("ECHO", number)) for number in range(50)))
    await asyncio.sleep(0)
    await asyncio.to_thread(client.client_kill_filter, _type="normal", skipme=True)

    assert await asked == [[b"%d" % number] for number in range(50)]
    assert await link.ask(packed("PING")) == [b"PONG"]


async def test_a_silent_server_is_given_up_within_the_patience(link: Link, mortal: EmbeddedServer) -> None:
    await link.ask(packed("PING"))
    process = mortal.process
    process.send_signal(signal.SIGSTOP)
    began_at = time.monotonic()
    try:
        found = await asyncio.gather(*(link.ask(packed("PING")) for _ in range(30)), return_exceptions=True)
    finally:
        process.send_signal(signal.SIGCONT)

    assert time.monotonic() - began_at < PATIENCE_S + 0.5
    assert all(isinstance(each, (redis.exceptions.TimeoutError, TimeoutError)) for each in found)
    assert await link.ask(packed("ECHO", "again")) == [b"again"]


async def test_a_server_that_speaks_something_else_is_no_server() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    maker = async_client(RedisSettings(url=SecretStr(f"redis://{LOOPBACK}:{port}/0"), timeout_s=0.4))
    link = Link(maker.connection_pool, PATIENCE_S)

    with pytest.raises((redis.exceptions.RedisError, TimeoutError)):
        await link.ask(packed("PING"))

    link.close()
    await maker.aclose()
    server.close()


@pytest.mark.parametrize("beyond", range(-3, 12))
async def test_a_line_may_end_anywhere_in_the_memory_for_lines(
    reader: BulkReader, client: redis.Redis, beyond: int
) -> None:
    """The first value ends so that the next one's head lies across the end of the first 64 KiB."""
    first = b"a" * (64 * 1024 - len(b"*2\r\n$65500\r\n\r\n") - beyond)
    client.hset("values", mapping={"0": first, "1": b"second"})

    found = await asyncio.wait_for(reader.ask(packed("HMGET", "values", 0, 1)), 5)

    assert found == [[first, b"second"]]


async def test_however_many_read_at_once_there_are_sixteen_connections(
    reader: BulkReader, client: redis.Redis
) -> None:
    client.hset("values", mapping={"0": b"a" * 300_000})

    found = await asyncio.gather(*(reader.ask(packed("HMGET", "values", 0)) for _ in range(200)))

    assert {len(values[0] or b"") for (values,) in found} == {300_000}
    assert len([each for each in client.client_list() if each["cmd"] == "hmget"]) <= 16


@pytest.mark.parametrize("seed", range(4))
async def test_a_value_may_come_in_any_pieces(client: redis.Redis, mortal: EmbeddedServer, seed: int) -> None:
    """Replies dribble in: a line, a value and its end of line may each be cut anywhere."""
    dice = random.Random(seed)
    values = [dice.randbytes(size) for size in (1, 70_000, 2_500_000, 0, 65_534, 65_535, 65_536, 200_000)]
    client.hset("values", mapping=dict(enumerate(values)))
    whole = packed("HMGET", "values", *range(len(values)), "none")

    async with _dribbling(dice, mortal) as port:
        maker = async_client(RedisSettings(url=SecretStr(f"redis://{LOOPBACK}:{port}/0"), timeout_s=5))
        reader = BulkReader(maker.connection_pool)
        for _ in range(2):
            found = await asyncio.wait_for(reader.ask(whole, packed("HMGET", "values", 2), whole), 20)

            assert found == [[*values, None], [values[2]], [*values, None]]
        reader.close()
        await maker.aclose()


async def test_a_connection_that_is_not_in_use_keeps_no_value(
    reader: BulkReader, client: redis.Redis
) -> None:
    client.hset("values", mapping={"0": b"a" * 3_000_000})

    ((value,),) = await reader.ask(packed("HMGET", "values", 0))
    await asyncio.sleep(0)  # what has just run is forgotten

    assert not [each for each in gc.get_referrers(value) if isinstance(each, list)]


@asynccontextmanager
async def _dribbling(dice: random.Random, server: EmbeddedServer) -> AsyncIterator[int]:
    """Pass replies on in pieces of all sizes; what is yielded is the port."""

    async def carry(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(LOOPBACK, urlsplit(server.url).port)

        async def back() -> None:
            while data := await from_server.read(2**20):
                while data:
                    size = dice.choice((1, 2, 3, 100, 5_000, 65_535, 65_536, 400_000))
                    to_client.write(data[:size])
                    data = data[size:]
                    await to_client.drain()
                    await asyncio.sleep(0.0005)
            to_client.close()
            ended.set()

        going = asyncio.create_task(back())
        while data := await client.read(65536):
            to_server.write(data)
        to_server.close()
        await going

    ended = asyncio.Event()
    proxy = await asyncio.start_server(carry, LOOPBACK, 0)
    yield proxy.sockets[0].getsockname()[1]
    proxy.close()
    await asyncio.wait_for(ended.wait(), 5)
