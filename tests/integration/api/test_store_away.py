"""The store goes away and comes back: a quick, honest answer meanwhile, and nothing to restart afterwards."""

import base64
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pytest
import redis
from redis.exceptions import OutOfMemoryError

from api.callers import keyring
from api.models import offer
from cli.valkey import EmbeddedServer
from tests.http_caller import GENERATIONS, JOBS, HttpCaller, Response, assert_error
from tests.integration.conftest import Serve, Service
from tests.sse import streaming
from tests.waiting import wait_until

BOUND_S = 2.0  # what is promised; the patience of the API is 1.6 s
CROWD_BOUND_S = 2.5  # the threads of many callers share this process with the API
NOBODY = "0" * 32

CALLS: dict[str, Callable[[HttpCaller], Response]] = {
    "submit": lambda caller: caller.generate(),
    "submit for later": lambda caller: caller.generate({"Prefer": "respond-async"}),
    "submit to any model": lambda caller: caller.generate(model="random"),
    "read": lambda caller: caller.http.get(f"{JOBS}/{NOBODY}"),
    "result": lambda caller: caller.result(NOBODY),
    "cancel": lambda caller: caller.cancel(NOBODY),
    "list": lambda caller: caller.http.get(JOBS),
    "stream": lambda caller: caller.generate(stream=True),
    "events": lambda caller: caller.http.get(f"{JOBS}/{NOBODY}/events"),
}


@pytest.fixture(scope="module")
def mortal() -> Iterator[EmbeddedServer]:
    """A store of the module's own, to be killed and started again."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def shaken(serve: Serve, mortal: EmbeddedServer) -> Iterator[Service]:
    """A service that has worked on that store before anything happens to it."""
    service = serve(server=mortal)
    service.caller.cancel(service.caller.submit())
    yield service
    mortal.start()


@pytest.fixture(params=["killed", "frozen"])
def away(request: pytest.FixtureRequest, shaken: Service, mortal: EmbeddedServer) -> Iterator[Service]:
    """That service while its store is away: refusing connections, or taking them and saying nothing."""
    if request.param == "killed":
        mortal.kill()
        yield shaken
        return
    mortal.process.send_signal(signal.SIGSTOP)
    yield shaken
    mortal.process.send_signal(signal.SIGCONT)


def timed(call: Callable[[HttpCaller], Response], caller: HttpCaller) -> tuple[Response, float]:
    started = time.monotonic()
    return call(caller), time.monotonic() - started


def assert_away(answer: Response) -> None:
    assert_error(answer, 503, "store_unavailable", kind="server_error")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_a_submission_is_refused_within_2_s(away: Service) -> None:
    answer, took_s = timed(CALLS["submit"], away.caller)

    assert_away(answer)
    assert took_s < BOUND_S


def test_so_is_one_of_a_caller_who_is_not_known_from_just_now(
    shaken: Service, mortal: EmbeddedServer
) -> None:
    """First there is news of its key to be waited for, then the store."""
    time.sleep(1.1 * max(keyring.FRESH_S, offer.FRESH_S))
    mortal.process.send_signal(signal.SIGSTOP)
    try:
        answer, took_s = timed(CALLS["submit"], shaken.caller)
    finally:
        mortal.process.send_signal(signal.SIGCONT)

    assert_away(answer)
    assert took_s < BOUND_S


def test_a_store_that_has_become_a_replica_is_no_store(serve: Serve) -> None:
    with EmbeddedServer() as server, redis.Redis(port=server.port, protocol=2) as client:
        service = serve(server=server)
        client.replicaof("127.0.0.1", "1")

        assert_away(service.caller.generate())

        client.replicaof("NO", "ONE")
        service.worker.beat()
        service.caller.submit()


def test_every_call_is_refused_in_time_however_many_there_are(away: Service) -> None:
    with ThreadPoolExecutor(max_workers=3 * len(CALLS)) as threads:
        answers = [threads.submit(timed, call, away.caller) for call in CALLS.values() for _ in range(3)]

    for answer, took_s in (future.result() for future in answers):
        assert_away(answer)
        assert took_s < CROWD_BOUND_S


def test_the_models_are_known_for_a_second_and_then_refused(shaken: Service, mortal: EmbeddedServer) -> None:
    mortal.kill()
    http = shaken.caller.http

    wait_until(
        lambda: http.get("/v1/models").status_code != 200, timeout_s=3, what="the end of what is known"
    )

    assert_error(http.get("/v1/models"), 503, "store_unavailable", kind="server_error")


def test_the_process_is_alive_but_not_ready(away: Service) -> None:
    assert away.caller.http.get("/healthz").status_code == 200

    started = time.monotonic()
    answer = away.caller.http.get("/readyz")

    assert time.monotonic() - started < BOUND_S
    assert answer.status_code == 503
    assert answer.json() == {"status": "not_ready", "redis": False, "model": "tiny", "worker": False}


def test_what_is_invalid_is_still_said(away: Service) -> None:
    assert_error(away.caller.generate(n=0), 422, "invalid_value", param="n")


def test_the_service_recovers_by_itself(shaken: Service, mortal: EmbeddedServer) -> None:
    job_id = shaken.caller.submit()
    mortal.kill()
    assert shaken.caller.generate().status_code == 503

    mortal.start()
    shaken.worker.beat()

    assert shaken.caller.job(job_id)["status"] == "queued"
    with shaken.worker.serving():
        assert shaken.caller.generate().status_code == 200


def test_a_held_call_outlives_a_restart_of_the_store(shaken: Service, mortal: EmbeddedServer) -> None:
    call = shaken.caller.later()
    attempt = shaken.worker.take()
    mortal.kill()
    mortal.start()

    shaken.worker.finish(attempt)

    answer = call.result(timeout=30)
    assert answer.status_code == 200
    assert answer.headers["x-job-id"] == attempt.job_id


def test_streams_outlive_a_restart_of_the_store(shaken: Service, mortal: EmbeddedServer) -> None:
    body = {"prompt": "a tiny picture", "stream": True, "partial_images": 1}
    with streaming(shaken.caller.http, "POST", GENERATIONS, json=body) as pictures:
        attempt = shaken.worker.take()
        with streaming(shaken.caller.http, "GET", f"{JOBS}/{attempt.job_id}/events") as events:
            assert events.next("status").data["status"] == "running"
            mortal.kill()
            mortal.start()

            file = base64.b64encode(b"preview")
            shaken.worker.store.preview(attempt, image=0, partial=0, file=file)
            shaken.worker.finish(attempt)

            assert [event.name for event in events] == ["preview", "status", "end"]
        assert [event.name.rpartition(".")[2] for event in pictures] == ["partial_image", "completed"]


def test_streams_show_that_they_live_while_the_store_is_away(serve: Serve, mortal: EmbeddedServer) -> None:
    service = serve(server=mortal, api={"heartbeat_s": 0.2})
    job_id = service.caller.submit()
    with streaming(service.caller.http, "GET", f"{JOBS}/{job_id}/events") as events:
        assert events.next("status").data["status"] == "queued"
        mortal.kill()
        try:
            began_at = time.monotonic()
            # As long as several looks at the queue would take.
            while time.monotonic() - began_at < 5:
                asked_at = time.monotonic()
                assert events.comment() == "still here"
                assert time.monotonic() - asked_at < 1
        finally:
            mortal.start()
        service.worker.beat()
        service.worker.do()
        assert [event.name for event in events][-2:] == ["status", "end"]


def test_a_call_that_waits_for_a_change_outlives_it_too(shaken: Service, mortal: EmbeddedServer) -> None:
    job_id = shaken.caller.submit()
    wait = shaken.caller.get_later(f"{JOBS}/{job_id}", {"Prefer": "wait=15"})
    wait_until(lambda: shaken.waiting == 1)
    mortal.kill()
    mortal.start()

    attempt = shaken.worker.take()

    assert wait.result(timeout=30).json()["status"] == "running"
    shaken.worker.finish(attempt)


def test_a_full_store_refuses_new_work_and_keeps_the_rest(serve: Serve) -> None:
    with EmbeddedServer(maxmemory_bytes=4 * 1024**2) as small:
        service = serve(server=small, jobs={"max_memory_share": 1})
        job_id = service.caller.submit()
        fill(service)

        answer = service.caller.generate({"Prefer": "respond-async"}, prompt="a" * 32_000)

        assert_error(answer, 503, "store_unavailable", kind="server_error")
        assert service.caller.job(job_id)["status"] == "queued"
        assert service.worker.take().job_id == job_id


def fill(service: Service) -> None:
    """Write until the store refuses to take more."""
    for size in (65_536, 1024):
        with suppress(OutOfMemoryError):
            for n in count():
                service.worker.client.set(service.key("ballast", str(size), str(n)), b"x" * size)
