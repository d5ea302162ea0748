"""Connections of a real API process, without a proxy: its own bounds, and what its server refuses."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import httpx2
import openai
import pytest

from cli.valkey import EmbeddedServer
from tests.e2e.api_process import BODY_S, MOST, ApiProcess
from tests.e2e.requests import AMBIGUOUS, BODY, CHUNKED, CLOSE, ENDLESS_BODIES, POST
from tests.raw_http import assert_refused, connect, drip, everything, one_answer, say
from tests.waiting import wait_until

MIB = 1024 * 1024
# What a loaded machine may add.
LATE_S = 3.0


@pytest.fixture(scope="module")
def api(valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    api = ApiProcess(valkey, tmp_path_factory.mktemp("api"), "connections:")
    api.child.start()
    try:
        wait_until(api.alive, 120, "the API")
        yield api
        assert api.alive()
        assert "Traceback" not in api.log
    finally:
        api.child.stop(5)


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"],
    ids=["length", "chunked"],
)
def test_a_body_that_comes_byte_by_byte_is_cut_and_makes_no_job(api: ApiProcess, head: bytes) -> None:
    byte = b"1\r\n \r\n" if b"chunked" in head else b" "
    with closing(connect(api.port)) as connection:
        said, after_s = drip(connection, POST + head, byte)

    assert BODY_S * 0.9 < after_s < BODY_S + LATE_S
    assert_refused(said, 408, "request_timeout")


@pytest.mark.parametrize("request_", AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(
    api: ApiProcess, request_: bytes
) -> None:
    said = say(api.port, request_)

    assert b"smuggled" not in said
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 400 "), said[:200]


def test_half_a_body_makes_no_job_even_where_it_can_be_read(api: ApiProcess) -> None:
    with closing(connect(api.port)) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n" + BODY)
    with closing(connect(api.port)) as connection:
        connection.sendall(POST + CHUNKED + b"\r\n%x\r\n%s\r\n" % (len(BODY), BODY))

    wait_until(lambda: api.log.count('"status": 0') >= 2, 5, "both calls to be given up")
    assert "job.refused" not in api.log


@pytest.mark.parametrize(("head", "piece"), ENDLESS_BODIES.values(), ids=ENDLESS_BODIES)
def test_a_body_without_an_end_is_refused(api: ApiProcess, head: bytes, piece: bytes) -> None:
    """Too large, or too long on its way where what comes is none of its bytes."""
    with closing(connect(api.port)) as connection:
        said = b""
        with suppress(ConnectionError):
            connection.sendall(POST + head)
            while not said:
                connection.sendall(piece)
                connection.setblocking(False)  # noqa: FBT003
                with suppress(BlockingIOError):
                    said = connection.recv(65536)
                connection.settimeout(BODY_S + LATE_S)

    # A name or value of a trailer that does not end is cut off without a word.
    assert not said or said.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 408 ", b"HTTP/1.1 400 ")), said[:100]


def test_there_is_an_end_to_how_many_connections_there_are(api: ApiProcess) -> None:
    with ExitStack() as stack:
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        opened = [stack.enter_context(closing(connect(api.port))) for _ in range(MOST - 1)]
        for each in opened:
            each.sendall(request)
            assert one_answer(each).startswith(b"HTTP/1.1 200")

        said = say(api.port, request)

    assert said.startswith(b"HTTP/1.1 503 ")
    wait_until(api.alive, 20, "room again")


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_there_is_nothing_to_upgrade_to(api: ApiProcess, upgrade: bytes) -> None:
    wanted = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: " + upgrade
    said = say(api.port, wanted + b"\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 200")


def test_what_comes_behind_a_body_is_no_header(api: ApiProcess) -> None:
    """Where it comes with the head in one packet it counts as one, without a proxy, and is bounded alike."""
    bad = b'{"prompt": 7}'
    trailers = b"Idempotency-Key: " + b"k" * 300 + b"\r\nHost: evil.example\r\n\r\n"
    with closing(connect(api.port)) as connection:
        connection.sendall(POST + CLOSE + CHUNKED + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"%x\r\n%s\r\n0\r\n" % (len(bad), bad) + trailers)
        said = everything(connection)

    assert said.startswith(b"HTTP/1.1 422"), said
    assert b"Idempotency-Key" not in said


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity, chunked"])
def test_a_transfer_encoding_that_is_not_understood_is_named(api: ApiProcess, coding: bytes) -> None:
    said = say(api.port, POST + CLOSE + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")

    assert_refused(said, 400, "unsupported_transfer_encoding")
    assert b'"param": "Transfer-Encoding"' in said


@pytest.mark.parametrize("name", [b"Chunked", b"CHUNKED", b" chunked "])
def test_chunked_is_understood_in_any_case(api: ApiProcess, name: bytes) -> None:
    said = say(api.port, POST + CLOSE + b"Transfer-Encoding:" + name + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 422")


@pytest.mark.parametrize("path", [b"/v1/images/edits", b"/v1/images/generations", b"/nowhere", b"/healthz"])
def test_a_client_that_sends_all_before_it_looks_gets_the_answer(api: ApiProcess, path: bytes) -> None:
    size = 50 * MIB
    length = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n" % size
    with closing(connect(api.port)) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + length)
        for _ in range(size // MIB):
            connection.sendall(b" " * MIB)
        said = connection.recv(65536)

    expected = {b"/v1/images/edits": 400, b"/v1/images/generations": 415, b"/nowhere": 404, b"/healthz": 405}
    assert said.startswith(b"HTTP/1.1 %d " % expected[path])


def test_a_client_that_is_told_to_go_on_is_served(api: ApiProcess) -> None:
    with closing(connect(api.port)) as connection:
        connection.sendall(
            POST + CLOSE + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(b'{"n": 0}')
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"n": 0}')
        assert everything(connection).startswith(b"HTTP/1.1 422")


@pytest.mark.parametrize("expect", [b"200-ok", b"100-continue, more", b""])
def test_another_expectation_is_a_417(api: ApiProcess, expect: bytes) -> None:
    said = say(api.port, POST + CLOSE + b"Expect: " + expect + b"\r\nContent-Length: 2\r\n\r\n{}")

    assert_refused(said, 417, "unsupported_expectation")


def test_the_official_client_is_told_why_whatever_it_sends(api: ApiProcess) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + b"\0" * (50 * MIB)
    http = httpx2.Client(trust_env=False)
    with openai.OpenAI(
        api_key="any", base_url=f"http://localhost:{api.port}/v1", http_client=http, max_retries=0
    ) as client:
        with pytest.raises(openai.APIStatusError) as too_large:
            client.images.edit(image=picture, prompt="a hat on it", model="any")
        with pytest.raises(openai.BadRequestError) as missing:
            client.chat.completions.create(model="any", messages=[{"role": "user", "content": "hello"}])

    assert (too_large.value.status_code, too_large.value.code) == (413, "body_too_large")
    assert missing.value.code == "unsupported_endpoint"
    assert "POST /v1/images/generations" in str(missing.value)


def test_nothing_of_all_that_made_a_job(api: ApiProcess) -> None:
    assert BODY.decode() not in api.log
    assert "job.submitted" not in api.log
