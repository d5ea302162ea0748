"""Connections of a real API process: what is slow, large or ambiguous ends, and others go on."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx2
import pytest

from api.connection import MAX_HEAD_BYTES, MAX_HEADERS, MAX_URL_BYTES
from cli.ports import LOOPBACK, free_port
from cli.valkey import EmbeddedServer
from tests.service import API, process
from tests.waiting import wait_until

MOST = 40
HEAD_S, BODY_S, STALLED_S = 1.0, 1.5, 1.0
# What a loaded machine may add.
LATE_S = 3.0
BODY = b'{"prompt": "a tiny picture"}'
POST = b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Api:
    """A real process with short bounds."""

    def __init__(self, valkey: EmbeddedServer, folder: Path, prefix: str) -> None:
        self.port = free_port()
        settings = {
            "REDIS__URL": valkey.url,
            "REDIS__PREFIX": prefix,
            "API__PORT": str(self.port),
            "API__HEAD_TIMEOUT_S": str(HEAD_S),
            "API__BODY_TIMEOUT_S": str(BODY_S),
            "API__STALLED_WRITE_S": str(STALLED_S),
            "API__MAX_CONNECTIONS": str(MOST),
        }
        self.child = process(
            "api", API, folder, **{f"DARKROOM_{name}": value for name, value in settings.items()}
        )

    def alive(self) -> bool:
        try:
            answer = httpx2.get(f"http://{LOOPBACK}:{self.port}/healthz", timeout=5, trust_env=False)
        except httpx2.TransportError:
            return False
        return answer.status_code == 200

    def connect(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, self.port), timeout=HEAD_S + BODY_S + STALLED_S + LATE_S)

    def say(self, *parts: bytes) -> bytes:
        """Send on a connection of its own; return all that comes until the service closes it."""
        with closing(self.connect()) as connection:
            for part in parts:
                connection.sendall(part)
            return everything(connection)


@pytest.fixture(scope="module")
def api(valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = Api(valkey, tmp_path_factory.mktemp("api"), "connections:")
    api.child.start()
    try:
        wait_until(api.alive, 120, "the API")
        yield api
        assert api.alive()
        assert "Traceback" not in api.child.program.log.read_text(encoding="utf-8")
    finally:
        api.child.stop(5)


def everything(connection: socket.socket) -> bytes:
    said = bytearray()
    try:
        while part := connection.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    return bytes(said)


def one_answer(connection: socket.socket) -> bytes:
    """The answer to a question about the process's health: its head and its body may come apart."""
    said = bytearray()
    while not said.endswith(b"}"):
        part = connection.recv(65536)
        assert part
        said += part
    return bytes(said)


def assert_refused(said: bytes, status: int, code: str) -> None:
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} "), said[:200]
    error = json.loads(body)["error"]
    assert (error["code"], set(error)) == (code, {"message", "type", "param", "code"})
    names = {line.split(": ")[0] for line in lines[1:]}
    assert {"x-request-id", "x-content-type-options", "content-length"} <= names
    assert "connection: close" in lines


def drip(connection: socket.socket, first: bytes, byte: bytes) -> tuple[bytes, float]:
    """Send a byte again and again until the other side cuts; return what it said, and after how long."""
    connection.settimeout(0.2)
    connection.sendall(first)
    started = time.monotonic()
    said = None
    while said is None:
        assert time.monotonic() < started + 30, "the connection was never cut"
        try:
            said = connection.recv(65536)
        except TimeoutError:
            with suppress(ConnectionError):
                connection.sendall(byte)
        except ConnectionError:
            said = b""
    return said, time.monotonic() - started


@pytest.mark.parametrize(
    ("first", "byte"),
    [
        (b"G", b"E"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"a:b\r\n"),
        (b"GET /" + b"a" * 100, b"a"),
    ],
    ids=["method", "header", "headers", "url"],
)
def test_a_head_that_comes_byte_by_byte_is_cut(api: Api, first: bytes, byte: bytes) -> None:
    with closing(api.connect()) as connection:
        said, after_s = drip(connection, first, byte)

    assert after_s < 2 * HEAD_S + LATE_S
    assert_refused(said, *((408, "request_timeout") if b"408" in said[:20] else (400, "invalid_http")))


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"],
    ids=["length", "chunked"],
)
def test_a_body_that_comes_byte_by_byte_is_cut_and_makes_no_job(api: Api, head: bytes) -> None:
    byte = b"1\r\n \r\n" if b"chunked" in head else b" "
    with closing(api.connect()) as connection:
        said, after_s = drip(connection, POST + head, byte)

    assert BODY_S * 0.9 < after_s < BODY_S + LATE_S
    assert_refused(said, 408, "request_timeout")


def test_a_connection_that_says_nothing_is_closed_without_a_word(api: Api) -> None:
    started = time.monotonic()

    assert api.say() == b""

    assert HEAD_S * 0.9 < time.monotonic() - started < HEAD_S + LATE_S


def test_a_connection_that_was_used_may_be_silent_but_not_slow(api: Api) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with closing(api.connect()) as connection:
        for _ in range(2):
            connection.sendall(request)
            assert one_answer(connection).startswith(b"HTTP/1.1 200")
        connection.settimeout(HEAD_S + 0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        said, after_s = drip(connection, b"GET /healthz HTTP/1.1\r\n", b"a")

    assert after_s < HEAD_S + LATE_S
    assert_refused(said, 408, "request_timeout")


def test_a_body_that_never_ends_after_it_was_refused_is_cut(api: Api) -> None:
    with closing(api.connect()) as connection:
        connection.sendall(POST + b"Content-Length: 1000000000\r\n\r\n")
        refused = connection.recv(65536)
        _, after_s = drip(connection, b"", b" " * 1000)

    assert refused.startswith(b"HTTP/1.1 413")
    assert after_s < BODY_S + LATE_S


def test_a_client_that_takes_nothing_of_its_answer_is_cut(api: Api) -> None:
    with closing(api.connect()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Pipelined, so that what nobody reads is more than any buffer between here and there holds.
        request = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(request * 20)
        wait_until(
            lambda: "connection.stalled" in api.child.program.log.read_text(encoding="utf-8"),
            STALLED_S + BODY_S + LATE_S,
            "the end of the connection",
        )


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"a" * MAX_URL_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "url_too_long"),
        (b"GET /?" + b"a=b&" * MAX_URL_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "url_too_long"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 2 * MAX_HEAD_BYTES, 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"a: %s\r\n" % (b"b" * 500) * 90 + b"\r\n", 431, "head_too_large"),
    ],
    ids=["path", "query", "header", "header without an end", "count", "all headers"],
)
def test_a_large_head_is_refused(api: Api, request_: bytes, status: int, code: str) -> None:
    assert_refused(api.say(request_), status, code)


def test_what_is_just_within_is_served(api: Api) -> None:
    query = b"a" * (MAX_URL_BYTES - len("/healthz?"))
    headers = b"a: b\r\n" * (MAX_HEADERS - 2)
    large = b"x: " + b"a" * (MAX_HEAD_BYTES - MAX_HEADERS * 20) + b"\r\n"

    for request in (
        b"GET /healthz?" + query + b" HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\n" + headers,
        b"GET /healthz HTTP/1.1\r\n" + large,
    ):
        assert api.say(request + b"Host: localhost\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + SMUGGLED,
        POST + b"Content-Length: +4\r\n\r\nabcd" + SMUGGLED,
        POST + b"Content-Length: 4, 4\r\n\r\nabcd" + SMUGGLED,
        POST + b"Content-Length: 99999999999999999999\r\n\r\n" + SMUGGLED,
        POST + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: y\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA\x00: b\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\x00c\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n" + SMUGGLED,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(
    api: Api, request_: bytes
) -> None:
    said = api.say(request_)

    assert b"smuggled" not in said
    assert said.count(b"HTTP/1.1 ") == 1
    assert_refused(said, 400, "invalid_http")


def test_half_a_body_makes_no_job_even_where_it_can_be_read(api: Api) -> None:
    with closing(api.connect()) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n" + BODY)
    with closing(api.connect()) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY))

    log = api.child.program.log
    wait_until(
        lambda: log.read_text(encoding="utf-8").count('"status": 0') >= 2, 5, "both calls to be given up"
    )
    assert "job.refused" not in log.read_text(encoding="utf-8")


def test_there_is_an_end_to_how_many_connections_there_are(api: Api) -> None:
    with ExitStack() as stack:
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        opened = [stack.enter_context(closing(api.connect())) for _ in range(MOST)]
        for each in opened:
            each.sendall(request)
            assert one_answer(each).startswith(b"HTTP/1.1 200")

        with closing(api.connect()) as one_too_many:
            said = everything(one_too_many)
        opened[0].sendall(request)
        still = one_answer(opened[0])

    assert_refused(said, 503, "too_many_connections")
    assert b"retry-after: 5" in said.lower()
    assert still.startswith(b"HTTP/1.1 200")
    wait_until(api.alive, 20, "room again")


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_there_is_nothing_to_upgrade_to(api: Api, upgrade: bytes) -> None:
    wanted = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: " + upgrade
    said = api.say(wanted + b"\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 200")
