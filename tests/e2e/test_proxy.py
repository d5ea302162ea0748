"""What the proxy bounds, as it is shipped: slow and large heads, stalled readers, connections."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.ports import LOOPBACK
from cli.valkey import EmbeddedServer
from tests.e2e.api_process import ApiProcess
from tests.e2e.requests import AMBIGUOUS, CHUNKED, CLOSE, ENDLESS_BODIES, POST
from tests.proxy import needs_nginx, proxy
from tests.raw_http import assert_refused, connect, drip, everything, one_answer, say
from tests.waiting import wait_until

pytestmark = needs_nginx

HEAD_S, STALLED_S = 1, 1
MOST = 10
# What a loaded machine may add.
LATE_S = 4.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@dataclass
class Guarded:
    """A real API process, and the proxy's port."""

    api: ApiProcess
    port: int
    log: Path


@pytest.fixture(scope="module")
def guarded(valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("proxy")
    api = ApiProcess(valkey, folder, "proxy:")
    shorter = {
        "client_header_timeout 10s;": f"client_header_timeout {HEAD_S}s;",
        "client_body_timeout 30s;": f"client_body_timeout {HEAD_S}s;",
        "send_timeout 60s;\n    reset": f"send_timeout {STALLED_S}s;\n    reset",
        "lingering_time 60s;": "lingering_time 2s; lingering_timeout 1s;",
        "limit_conn requests 12000;": f"limit_conn requests {MOST};",
    }
    api.child.start()
    try:
        wait_until(api.alive, 120, "the API")
        with proxy(folder, f"{LOOPBACK}:{api.port}", shorter) as port:
            yield Guarded(api, port, folder / "nginx.log")
        assert api.alive()
        assert "Traceback" not in api.log
    finally:
        api.child.stop(5)


@pytest.mark.parametrize(
    ("first", "byte"),
    [
        (b"G", b"E"),
        (HEALTH + b"X-Slow: ", b"a"),
        (HEALTH, b"a:b\r\n"),
        (b"GET /" + b"a" * 100, b"a"),
    ],
    ids=["method", "header", "headers", "url"],
)
def test_a_head_that_comes_byte_by_byte_is_cut(guarded: Guarded, first: bytes, byte: bytes) -> None:
    with closing(connect(guarded.port)) as connection:
        said, after_s = drip(connection, first, byte)

    assert after_s < 2 * HEAD_S + LATE_S
    assert said == b"" or said.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))


def test_a_connection_that_says_nothing_is_closed(guarded: Guarded) -> None:
    started = time.monotonic()

    say(guarded.port)

    assert HEAD_S * 0.9 < time.monotonic() - started < HEAD_S + LATE_S


def test_a_connection_that_was_used_may_be_silent_but_not_slow(guarded: Guarded) -> None:
    with closing(connect(guarded.port)) as connection:
        for _ in range(2):
            connection.sendall(HEALTH + b"\r\n")
            assert one_answer(connection).startswith(b"HTTP/1.1 200")
        connection.settimeout(HEAD_S + 0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        _, after_s = drip(connection, HEALTH, b"a")

    assert after_s < HEAD_S + LATE_S


def test_a_body_that_does_not_come_is_cut(guarded: Guarded) -> None:
    started = time.monotonic()

    assert say(guarded.port, POST + b"Content-Length: 1000\r\n\r\n{") == b""

    assert time.monotonic() - started < HEAD_S + LATE_S


def test_a_body_that_is_too_large_is_refused_before_it_comes(guarded: Guarded) -> None:
    said = say(guarded.port, POST + CLOSE + b"Content-Length: 1100000\r\n\r\n")

    assert_refused(said, 413, "body_too_large")


@pytest.mark.parametrize(("head", "piece"), ENDLESS_BODIES.values(), ids=ENDLESS_BODIES)
def test_of_a_body_without_an_end_the_api_sees_nothing(guarded: Guarded, head: bytes, piece: bytes) -> None:
    before = guarded.api.log.count("request.answered")
    with closing(connect(guarded.port)) as connection:
        connection.sendall(POST + head)
        for _ in range(20):
            connection.sendall(piece)

    assert guarded.api.log.count("request.answered") == before


def test_a_client_that_takes_nothing_of_its_answer_is_cut(guarded: Guarded) -> None:
    with closing(connect(guarded.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Pipelined, so that what nobody reads is more than any buffer between here and there holds.
        request = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(request * 20)
        time.sleep(STALLED_S + LATE_S / 2)
        with pytest.raises(ConnectionResetError):
            receive_all(connection)


def receive_all(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "url_too_long"),
        (b"GET /?" + b"a=b&" * 8192 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "url_too_long"),
        (HEALTH + b"X: " + b"a" * 32_768 + b"\r\n\r\n", 431, "head_too_large"),
        (HEALTH + b"X: " + b"a" * 65_536, 431, "head_too_large"),
        (HEALTH + b"a: %s\r\n" % (b"b" * 500) * 90 + b"\r\n", 431, "head_too_large"),
    ],
    ids=["path", "query", "header", "header without an end", "all headers"],
)
def test_a_large_head_is_refused(guarded: Guarded, request_: bytes, status: int, code: str) -> None:
    assert_refused(say(guarded.port, request_), status, code)


def test_what_is_just_within_is_served(guarded: Guarded) -> None:
    for more in (b"x: " + b"a" * 8000 + b"\r\n", b"".join(b"x: %b\r\n" % (b"a" * 900) for _ in range(24))):
        said = say(guarded.port, HEALTH + CLOSE + more + b"\r\n")
        assert said.startswith(b"HTTP/1.1 200"), said[:200]


@pytest.mark.parametrize("request_", AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(
    guarded: Guarded, request_: bytes
) -> None:
    said = say(guarded.port, request_)

    assert b"smuggled" not in said
    assert said.count(b"HTTP/1.1 ") == 1
    assert_refused(said, 400, "unsupported_transfer_encoding" if b"unsupported" in said else "invalid_http")


def test_what_stands_behind_a_body_is_no_header(guarded: Guarded) -> None:
    bad = b'{"prompt": 7}'
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(bad), bad)
    trailers = b"Idempotency-Key: " + b"k" * 300 + b"\r\nHost: evil.example\r\n\r\n"

    said = say(guarded.port, POST + CLOSE + CHUNKED + b"\r\n" + chunk + trailers)

    assert said.startswith(b"HTTP/1.1 422"), said
    assert b"Idempotency-Key" not in said


@pytest.mark.parametrize(
    ("target", "host"),
    [(b"http://evil.example/healthz", b"localhost"), (b"http://localhost/healthz", b"evil")],
)
def test_of_two_hosts_the_one_that_counts_is_the_one_that_is_checked(
    guarded: Guarded, target: bytes, host: bytes
) -> None:
    """The API hears of no other: a target goes on without its host."""
    said = say(guarded.port, b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + CLOSE + b"\r\n")

    assert said.startswith(b"HTTP/1.1 200") == (host == b"localhost")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/v1/images/edits", b"400"),  # more of it is let through, and it is no form
        (b"/v1/files", b"400"),  # likewise, and there is no place for files
        (b"/v1/images/generations", b"413"),
        (b"/nowhere", b"413"),
        (b"/healthz", b"413"),
    ],
)
def test_a_client_that_sends_all_before_it_looks_gets_an_answer(
    guarded: Guarded, path: bytes, status: bytes
) -> None:
    with closing(connect(guarded.port)) as connection:
        length = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 8000000\r\n\r\n"
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + length)
        for _ in range(8):
            connection.sendall(b" " * 1_000_000)
        said = connection.recv(65536)

    assert said.startswith(b"HTTP/1.1 " + status)


def test_there_is_an_end_to_how_many_requests_there_are(guarded: Guarded) -> None:
    slow = POST + b"Content-Length: 1000\r\n\r\n{"
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(closing(connect(guarded.port))).sendall(slow)
        said: list[bytes] = []

        def refused() -> bool:
            said.append(say(guarded.port, HEALTH + CLOSE + b"\r\n"))
            return said[-1].startswith(b"HTTP/1.1 503")

        wait_until(refused, HEAD_S, "the others to count")

    assert_refused(said[-1], 503, "too_many_connections")
    assert b"retry-after: 5" in said[-1].lower()
    wait_until(
        lambda: say(guarded.port, HEALTH + CLOSE + b"\r\n").startswith(b"HTTP/1.1 200"), 10, "room again"
    )


def test_who_closes_its_side_and_waits_is_let_go(guarded: Guarded) -> None:
    """It cannot be told from one that has gone; neither may stay."""
    with closing(connect(guarded.port)) as connection:
        connection.sendall(HEALTH + CHUNKED + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        everything(connection)
