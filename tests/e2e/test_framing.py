"""What frames a request, on real sockets: all of its bytes count, and what is not understood is named."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import httpx2
import openai
import pytest

from cli.valkey import EmbeddedServer
from tests.e2e.test_connections import BODY, BODY_S, LATE_S, Api, assert_refused, everything
from tests.waiting import wait_until

MIB = 1024 * 1024
POST = b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"


@pytest.fixture(scope="module")
def api(valkey: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = Api(valkey, tmp_path_factory.mktemp("api"), "framing:")
    api.child.start()
    try:
        wait_until(api.alive, 30, "the API")
        yield api
        assert "Traceback" not in api.child.program.log.read_text(encoding="utf-8")
    finally:
        api.child.stop(5)


def send_until_answered(api: Api, head: bytes, piece: bytes, most: int) -> tuple[bytes, int]:
    """Send a piece again and again until something is answered; return all of it, and how much was sent."""
    sent = 0
    with closing(api.connect()) as connection:
        connection.sendall(head)
        connection.settimeout(0.001)
        said = b""
        while not said and sent < most:
            connection.settimeout(BODY_S + LATE_S)
            connection.sendall(piece)
            sent += len(piece)
            connection.setblocking(False)  # noqa: FBT003
            with suppress(BlockingIOError):
                said = connection.recv(65536)
        connection.settimeout(BODY_S + LATE_S)
        return said + everything(connection), sent


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (CHUNKED + b"\r\n1;ext=", b"a" * 65_536),
        (CHUNKED + b"\r\n", b"1;" + b"a" * 1000 + b"\r\n \r\n"),
        (CHUNKED + b"\r\n", b"1\r\n \r\n" * 10_000),
        (CHUNKED + b"\r\n0\r\nX-Trailer: ", b"a" * 65_536),
        (CHUNKED + b"\r\n0\r\n", b"a: b\r\n" * 10_000),
    ],
    ids=["an extension", "extensions", "tiny chunks", "a trailer", "trailers"],
)
def test_every_byte_of_a_body_counts_whatever_it_is_for(api: Api, head: bytes, piece: bytes) -> None:
    said, sent = send_until_answered(api, POST + head, piece, 30 * MIB)

    assert sent < 12 * MIB  # what the buffers of two sockets may hold beside the limit
    assert_refused(said, 413, "body_too_large")


def test_a_route_that_reads_no_body_is_answered_and_what_is_sent_to_it_counts_too(api: Api) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + CHUNKED + b"\r\n1;ext="
    with closing(api.connect()) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        sent = 0
        with suppress(ConnectionError):
            while sent < 200 * MIB:
                connection.sendall(b"a" * MIB)
                sent += MIB

    assert 32 * MIB < sent < 100 * MIB


def test_what_stands_behind_a_body_is_no_header(api: Api) -> None:
    # Unknown fields and a key given twice take FastAPI's way, where headers are read after the body.
    bad = b'{"prompt": 7}'
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(bad), bad)
    trailers = b"Idempotency-Key: " + b"k" * 300 + b"\r\nHost: evil.example\r\n\r\n"

    said = api.say(POST + CLOSE + CHUNKED + b"\r\n" + chunk + trailers)

    assert said.startswith(b"HTTP/1.1 422"), said
    assert b"Idempotency-Key" not in said


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"identity", b"xchunked", b"chunked;q=1"])
def test_a_transfer_encoding_that_is_not_understood_is_named(api: Api, coding: bytes) -> None:
    said = api.say(POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")

    assert_refused(said, 400, "unsupported_transfer_encoding")
    assert b'"param": "Transfer-Encoding"' in said


@pytest.mark.parametrize(
    "head", [CHUNKED * 2, b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding:\r\n"]
)
def test_what_the_parser_itself_refuses_is_named_too(api: Api, head: bytes) -> None:
    said = api.say(POST + head + b"\r\n0\r\n\r\n")

    assert_refused(said, 400, "invalid_http")
    assert b"Transfer-Encoding" in said


def test_chunked_with_an_old_version_is_refused(api: Api) -> None:
    old = POST.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert_refused(api.say(old + CHUNKED + b"\r\n0\r\n\r\n"), 400, "unsupported_transfer_encoding")


@pytest.mark.parametrize("name", [b"Chunked", b"CHUNKED", b" chunked "])
def test_chunked_is_understood_in_any_case(api: Api, name: bytes) -> None:
    said = api.say(POST + CLOSE + b"Transfer-Encoding:" + name + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 422")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://evil.example/healthz", b"localhost"),
        (b"http://localhost/healthz", b"evil.example"),
        (b"http://localhost:1/healthz", b"localhost:2"),
        (b"http://[::1]/healthz", b"127.0.0.1"),
    ],
)
def test_a_target_that_names_another_host_than_host_does_is_refused(
    api: Api, target: bytes, host: bytes
) -> None:
    said = api.say(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")

    assert_refused(said, 400, "invalid_http")
    assert b'"param": "Host"' in said


@pytest.mark.parametrize(
    ("target", "host"),
    [(b"http://LOCALHOST:8000/healthz", b"localhost.:8000"), (b"http://[::1]/healthz", b"[::1]")],
)
def test_a_target_that_names_the_same_host_is_served(api: Api, target: bytes, host: bytes) -> None:
    said = api.say(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + CLOSE + b"\r\n")

    assert said.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("head", [b"", CLOSE], ids=["kept alive", "closed"])
@pytest.mark.parametrize("path", [b"/v1/images/edits", b"/v1/images/generations", b"/nowhere", b"/healthz"])
def test_a_client_that_sends_all_before_it_looks_gets_the_answer(api: Api, path: bytes, head: bytes) -> None:
    size = 50 * MIB
    length = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n" % size
    with closing(api.connect()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + head + length)
        for _ in range(size // MIB):
            connection.sendall(b" " * MIB)
        connection.settimeout(BODY_S + LATE_S)
        said = connection.recv(65536)

    expected = {b"/v1/images/edits": 400, b"/v1/images/generations": 415, b"/nowhere": 404, b"/healthz": 405}
    assert said.startswith(b"HTTP/1.1 %d " % expected[path])


def test_a_client_that_waits_for_100_is_answered_without_it_and_the_connection_ends(api: Api) -> None:
    head = b"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"

    said = api.say(head + b"Expect: 100-continue\r\n\r\n")

    assert_refused(said, 400, "unsupported_endpoint")


def test_a_client_that_is_told_to_go_on_is_served(api: Api) -> None:
    with closing(api.connect()) as connection:
        connection.sendall(
            POST + CLOSE + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(b'{"n": 0}')
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"n": 0}')
        assert everything(connection).startswith(b"HTTP/1.1 422")


@pytest.mark.parametrize("expect", [b"200-ok", b"100-continue, more", b""])
def test_another_expectation_is_a_417(api: Api, expect: bytes) -> None:
    said = api.say(POST + CLOSE + b"Expect: " + expect + b"\r\nContent-Length: 2\r\n\r\n{}")

    assert said.startswith(b"HTTP/1.1 417 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "unsupported_expectation"


def test_the_official_client_is_told_that_there_are_no_edits_whatever_it_sends(api: Api) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + b"\0" * (50 * MIB)
    http = httpx2.Client(trust_env=False)
    with openai.OpenAI(
        api_key="any", base_url=f"http://localhost:{api.port}/v1", http_client=http, max_retries=0
    ) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.edit(image=picture, prompt="a hat on it", model="any")
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="any", messages=[{"role": "user", "content": "hello"}])

    assert caught.value.code == "unsupported_endpoint"
    assert "POST /v1/images/generations" in str(caught.value)


def test_nothing_of_all_that_made_a_job(api: Api) -> None:
    assert BODY not in api.child.program.log.read_bytes()
    assert b"job.submitted" not in api.child.program.log.read_bytes()
