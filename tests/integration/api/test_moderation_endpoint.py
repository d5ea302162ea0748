"""The moderator elsewhere, played by a server on loopback that answers well, late, badly or not at all."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cli.ports import LOOPBACK
from tests.http_caller import ASYNC, JOBS, Response, assert_error
from tests.integration.conftest import Serve, Service

BLOCKED = {"kind": "image_generation_user_error", "param": "prompt"}
KEY = "key-of-the-endpoint"
Answering = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Notes what it was asked and answers as the test says."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(self.path, headers, json.loads(body)))
        with self.server.counting:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            self.server.answering(self)
        except OSError:
            self.close_connection = True  # the caller had enough
        finally:
            with self.server.counting:
                self.server.at_once -= 1

    def say(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Asked:
    """One question."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(eq=False)
class Server(ThreadingHTTPServer):
    """The endpoint."""

    answering: Answering
    asked: list[Asked] = field(default_factory=list)
    counting: threading.Lock = field(default_factory=threading.Lock)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.leaving = threading.Event()
        super().__init__((LOOPBACK, 0), Handler)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_address[1]}/v1/moderations"

    def handle_error(self, *_: Any) -> None:
        """A connection that its caller cut is no news."""


def flagging(*names: str, flagged: bool = True) -> Answering:
    """Answer like OpenAI's endpoint, with these categories flagged."""
    categories = {"hate": False, "violence/graphic": False} | dict.fromkeys(names, True)
    result = {"flagged": flagged, "categories": categories, "category_scores": {"hate": 0.1}}
    answer = {"id": "modr-1", "model": "omni-moderation", "results": [result]}
    return lambda handler: handler.say(json.dumps(answer).encode())


def saying(body: bytes, status: int = 200, **headers: str) -> Answering:
    return lambda handler: handler.say(body, status, **headers)


innocent = flagging(flagged=False)


@pytest.fixture
def endpoint() -> Iterator[Callable[[Answering], Server]]:
    """A function that starts an endpoint."""
    with ExitStack() as stack:

        def start(answering: Answering) -> Server:
            server = Server(answering)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            stack.callback(server.leaving.set)
            return server

        yield start


Endpoint = Callable[[Answering], Server]


def asking(serve: Serve, server: Server, **settings: Any) -> Service:
    return serve(
        moderation={
            "endpoint_url": server.url,
            "endpoint_key": KEY,
            "endpoint_timeout_s": 0.5,
            **settings,
        }
    )


def generate(service: Service, **fields: Any) -> Response:
    return service.caller.generate(ASYNC, **fields)


def test_it_is_asked_with_the_prompt_the_key_and_the_model(serve: Serve, endpoint: Endpoint) -> None:
    server = endpoint(innocent)
    service = asking(serve, server, endpoint_model="omni")

    assert generate(service, prompt="a swan", negative_prompt="a duck").status_code == 202

    (asked,) = server.asked
    assert asked.path == "/v1/moderations"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {"input": "a swan", "model": "omni"}


@pytest.mark.parametrize(
    ("flagged", "category"),
    [
        ("sexual", "sexual"),
        ("violence/graphic", "violence_graphic"),
        ("self-harm/intent", "self_harm"),
        ("harassment/threatening", "harassment"),
        ("brand-new/category", "other"),
    ],
)
def test_what_it_flags_is_blocked_and_named_in_our_words(
    serve: Serve, endpoint: Endpoint, flagged: str, category: str
) -> None:
    service = asking(serve, endpoint(flagging(flagged)))

    message = assert_error(generate(service), 400, "moderation_blocked", **BLOCKED)

    assert message == f"The prompt was blocked by moderation: {category}."
    assert service.caller.http.get(JOBS).json()["data"] == []


def test_what_it_flags_without_a_category_is_blocked(serve: Serve, endpoint: Endpoint) -> None:
    service = asking(serve, endpoint(flagging()))

    assert "other" in assert_error(generate(service), 400, "moderation_blocked", **BLOCKED)


def test_low_lets_its_general_categories_through(serve: Serve, endpoint: Endpoint) -> None:
    service = asking(serve, endpoint(flagging("sexual")))
    assert generate(service, moderation="low").status_code == 202

    service = asking(serve, endpoint(flagging("sexual", "sexual/minors")))
    assert_error(generate(service, moderation="low"), 400, "moderation_blocked", **BLOCKED)


def test_what_the_list_blocks_it_is_not_asked_about(serve: Serve, endpoint: Endpoint) -> None:
    server = endpoint(innocent)
    service = asking(serve, server)

    assert_error(generate(service, prompt="a nude man"), 400, "moderation_blocked", **BLOCKED)
    assert server.asked == []


def never(handler: Handler) -> None:
    handler.server.leaving.wait(5)


def trickling(handler: Handler) -> None:
    """Send a byte now and then: each read is quick, and the answer never ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    while not handler.server.leaving.wait(0.05):
        handler.wfile.write(b" ")


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while not handler.server.leaving.is_set():
        handler.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"results": [')
    handler.connection.shutdown(socket.SHUT_RDWR)


UNUSABLE: dict[str, Answering] = {
    "never": never,
    "trickling": trickling,
    "endless": endless,
    "cut": cut,
    "not HTTP": lambda handler: handler.wfile.write(b"hello\r\n\r\n") and handler.connection.close(),
    "500": saying(b"{}", 500),
    "401": saying(b'{"error": "no"}', 401),
    "redirect": saying(b"", 307, Location="http://127.0.0.1:9/"),
    "no JSON": saying(b"<html>"),
    "no text": saying(b"\xff\xfe"),
    "no results": saying(b"{}"),
    "empty results": saying(b'{"results": []}'),
    "wrong types": saying(b'{"results": [{"flagged": "no", "categories": []}]}'),
    "nested": saying(b"[" * 100_000),
    "broken gzip": saying(b"no gzip", **{"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("answering", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_without_a_usable_answer_nothing_is_drawn(
    serve: Serve, endpoint: Endpoint, answering: Answering
) -> None:
    service = asking(serve, endpoint(answering))

    started = time.monotonic()
    answer = generate(service)
    took_s = time.monotonic() - started

    assert_error(answer, 503, "moderation_unavailable", kind="server_error")
    assert answer.headers["retry-after"] == "5"
    assert took_s < 2
    assert service.caller.http.get(JOBS).json()["data"] == []


@pytest.mark.parametrize("how", ["trickling", "500", "no JSON"])
def test_an_endpoint_that_may_fail_open_stops_nothing(serve: Serve, endpoint: Endpoint, how: str) -> None:
    service = asking(serve, endpoint(UNUSABLE[how]), endpoint_fail_open=True)

    assert generate(service).status_code == 202
    assert_error(generate(service, prompt="a nude man"), 400, "moderation_blocked", **BLOCKED)


def test_an_endpoint_that_is_away_stops_work_unless_it_may_not(serve: Serve) -> None:
    with socket.socket() as taken:
        # Bound and not listening: a connection is refused.
        taken.bind((LOOPBACK, 0))
        settings = {"endpoint_url": f"http://{LOOPBACK}:{taken.getsockname()[1]}/"}

        answer = generate(serve(moderation=settings))
        assert_error(answer, 503, "moderation_unavailable", kind="server_error")
        opened = serve(moderation={**settings, "endpoint_fail_open": True})
        assert generate(opened).status_code == 202


def test_failures_are_counted_and_logged_without_the_prompt_or_the_key(
    serve: Serve, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    service = asking(serve, endpoint(saying(b'{"results": [{"flagged": "a secret swan"}]}')))

    generate(service, prompt="a secret swan")

    assert "darkroom_moderation_endpoint_failures_total" in service.caller.http.get("/metrics").text
    printed = capsys.readouterr().out
    assert "moderation.endpoint_failed" in printed
    assert "secret" not in printed
    assert KEY not in printed


def test_connections_to_it_are_bounded_and_what_waits_is_not_forgotten(
    serve: Serve, endpoint: Endpoint
) -> None:
    def slowly(handler: Handler) -> None:
        handler.server.leaving.wait(0.1)
        innocent(handler)

    server = endpoint(slowly)
    service = asking(serve, server, endpoint_connections=2, endpoint_timeout_s=5)

    calls = [service.caller.later(ASYNC) for _ in range(8)]

    assert [call.result(timeout=30).status_code for call in calls] == [202] * 8
    assert server.most_at_once == 2


def test_one_who_waits_for_it_stops_nobody_else(serve: Serve, endpoint: Endpoint) -> None:
    service = asking(serve, endpoint(never), endpoint_timeout_s=2)
    call = service.caller.later(ASYNC)

    assert service.caller.http.get("/healthz").status_code == 200
    assert not call.done()

    assert call.result(timeout=30).status_code == 503
