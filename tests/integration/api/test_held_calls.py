"""Held calls: what happens on their connections meanwhile."""

import json
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from cli.ports import LOOPBACK
from tests.http_caller import GENERATIONS, JOBS
from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until


class RawCaller:
    """One connection, on which requests are sent byte for byte."""

    def __init__(self, service: Service) -> None:
        port = int(service.api.url.rsplit(":", 1)[1])
        self.socket = socket.create_connection((LOOPBACK, port), timeout=10)
        self._file = self.socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, *requests: bytes) -> None:
        self.socket.sendall(b"".join(requests))

    def answer(self) -> tuple[int, dict[str, str], Any]:
        status = int(self._file.readline().split()[1])
        lines = iter(self._file.readline, b"\r\n")
        headers = dict(line.decode().lower().strip().split(": ", 1) for line in lines)
        return status, headers, json.loads(self._file.read(int(headers["content-length"])))

    def rest(self) -> bytes:
        return self._file.read()


def post(*headers: str, version: str = "1.1", **fields: Any) -> bytes:
    body = json.dumps({"prompt": "a tiny picture", **fields}).encode()
    named = [
        "Host: localhost",
        "Authorization: Bearer key",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([f"POST {GENERATIONS} HTTP/{version}", *named, "", ""]).encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.fixture
def raw(service: Service) -> Callable[[], RawCaller]:
    def connect() -> RawCaller:
        caller = RawCaller(service)
        service.stack.callback(caller.close)
        return caller

    return connect


def test_a_connection_is_used_again_after_a_held_call(service: Service, raw: Callable[[], RawCaller]) -> None:
    caller = raw()
    for _ in range(3):
        caller.send(post())
        job_id = service.worker.do()

        status, headers, body = caller.answer()
        assert (status, headers["x-job-id"], len(body["data"])) == (200, job_id, 1)
        caller.send(get("/healthz"))
        assert caller.answer()[0] == 200


def test_what_is_asked_behind_a_held_call_is_answered_after_it(
    service: Service, raw: Callable[[], RawCaller]
) -> None:
    caller = raw()
    caller.send(post())
    wait_until(lambda: service.waiting == 1, what="the held call")
    caller.send(get("/healthz"), post(), get("/v1/models"))

    first = service.worker.do()
    second = service.worker.do()

    answers = [caller.answer() for _ in range(4)]
    assert [status for status, _, _ in answers] == [200] * 4
    assert [headers.get("x-job-id") for _, headers, _ in answers] == [first, None, second, None]
    assert answers[1][2] == {"status": "ok"}


def test_requests_that_come_together_are_answered_in_their_order(
    service: Service, raw: Callable[[], RawCaller]
) -> None:
    caller = raw()
    caller.send(post(), post("Prefer: wait=20"), get("/healthz"))

    first = service.worker.do()
    second = service.worker.do()

    answers = [caller.answer() for _ in range(3)]
    assert [headers.get("x-job-id") for _, headers, _ in answers] == [first, second, None]


@pytest.mark.parametrize("request_", [post("Connection: close"), post(version="1.0")], ids=["close", "1.0"])
def test_a_connection_that_was_to_end_ends_after_its_held_call(
    service: Service, raw: Callable[[], RawCaller], request_: bytes
) -> None:
    caller = raw()
    caller.send(request_)
    service.worker.do()

    status, headers, _ = caller.answer()

    assert (status, headers["connection"]) == (200, "close")
    assert caller.rest() == b""


def test_nonsense_behind_a_held_call_ends_the_connection_and_the_call(
    serve: Serve,
) -> None:
    service = serve(jobs={"abandon_grace_s": 0.0})
    with closing(RawCaller(service)) as caller:
        caller.send(post())
        attempt = service.worker.take()
        wait_until(lambda: service.waiting == 1, what="the held call")

        caller.send(b"what is this\r\n\r\n")

        assert caller.rest().startswith(b"HTTP/1.1 400 ")
    wait_until(lambda: service.waiting == 0, what="the call to be let go")
    wait_until(
        lambda: service.caller.job(attempt.job_id)["status"] == "cancelled", what="the job to be cancelled"
    )


@pytest.mark.parametrize("last_bytes", [66_000, 80_000, 100_000, 120_000])
def test_a_caller_who_hangs_up_after_a_large_body_is_noticed(serve: Serve, last_bytes: int) -> None:
    """Reading had been stopped until there was room for more: hanging up is something that is read."""
    service = serve(jobs={"abandon_grace_s": 0.0})
    with closing(RawCaller(service)) as caller:
        request = post(unknown="x" * 200_000)
        caller.send(request[:-last_bytes])
        caller.send(request[-last_bytes:])
        attempt = service.worker.take()
        wait_until(lambda: service.waiting == 1, what="the held call")

    wait_until(lambda: service.waiting == 0, what="the call to be let go")
    wait_until(
        lambda: service.caller.job(attempt.job_id)["status"] == "cancelled", what="the job to be cancelled"
    )


def test_a_call_that_waits_for_a_change_is_let_go_and_comes_back(
    service: Service, raw: Callable[[], RawCaller]
) -> None:
    job_id = service.caller.submit()
    caller = raw()
    caller.send(
        b"GET %b/%b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key\r\nPrefer: wait=20\r\n\r\n"
        % (JOBS.encode(), job_id.encode())
    )
    wait_until(lambda: service.waiting == 1, what="the held call")

    service.worker.take()

    status, headers, body = caller.answer()
    assert (status, headers["preference-applied"], body["status"]) == (200, "wait=20", "running")


def test_held_calls_are_counted_when_they_are_answered(service: Service) -> None:
    def counted(name: str) -> float:
        lines = service.caller.http.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    held, answered = "darkroom_held_calls", 'darkroom_http_requests_total{method="POST",route="/v1/images/gen'
    before = counted(answered)
    calls = [service.caller.later() for _ in range(3)]
    wait_until(lambda: counted(held) == 3, what="the held calls")
    assert counted(answered) == before

    for _ in calls:
        service.worker.do()

    assert {call.result(timeout=30).status_code for call in calls} == {200}
    wait_until(lambda: counted(answered) == before + 3, what="the count")
    assert counted(held) == 0
