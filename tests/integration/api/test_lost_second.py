"""A power cut: the last second of the append-only file is gone, and with it what was accepted in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.valkey import EmbeddedServer
from tests.http_caller import GENERATIONS, JOBS, assert_error
from tests.integration.conftest import Serve, Service
from tests.sse import streaming
from tests.waiting import wait_until


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as found:
        yield found


def newest_file(server: EmbeddedServer) -> Path:
    (file,) = (server.data_dir / "appendonlydir").glob("*.incr.aof")
    return file


@contextmanager
def power_cut(server: EmbeddedServer, service: Service, known: str) -> Iterator[None]:
    """Lose everything that was written to the file after a job that is known to be in it."""
    file = newest_file(server)
    wait_until(lambda: f"job:{known}".encode() in file.read_bytes(), what="the file to have the job")
    on_disk = file.stat().st_size
    yield
    server.kill()
    with file.open("rb+") as opened:
        opened.truncate(on_disk)
    server.start()
    service.worker.beat()


def test_what_was_on_disk_is_there_and_what_was_not_is_gone(serve: Serve, server: EmbeddedServer) -> None:
    service = serve(server=server)
    kept = service.caller.submit()
    with power_cut(server, service, kept):
        lost = service.caller.submit()

    assert service.caller.job(kept)["status"] == "queued"
    assert_error(service.caller.http.get(f"{JOBS}/{lost}"), 404, "job_not_found")
    assert service.worker.do() == kept


def test_a_held_call_of_a_lost_job_is_told_to_ask_again(serve: Serve, server: EmbeddedServer) -> None:
    service = serve(server=server)
    with power_cut(server, service, service.caller.submit()):
        held = service.caller.later()
        wait_until(lambda: service.waiting == 1, what="the held call")

    answer = held.result(10)
    assert_error(answer, 503, "store_unavailable", kind="server_error")
    assert answer.headers["retry-after"] == "1"
    assert "send the request again" in answer.json()["error"]["message"]


def test_a_stream_of_a_lost_job_ends_with_the_same_error(serve: Serve, server: EmbeddedServer) -> None:
    service = serve(server=server)
    body = {"prompt": "a tiny picture", "stream": True}
    with streaming(service.caller.http, "POST", GENERATIONS, json=body) as events:
        # What the stream's job was written after cannot be told; so everything of this server is lost.
        wait_until(lambda: service.waiting == 1, what="the stream")
        server.kill()
        newest_file(server).write_bytes(b"")
        server.start()
        (last,) = events.rest()

    assert last.data["error"]["code"] == "store_unavailable"
