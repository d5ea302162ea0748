"""Is the process alive, and can it serve."""

from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until


def test_a_process_is_alive(service: Service) -> None:
    answer = service.caller.http.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_service_with_a_worker_for_its_default_model_is_ready(service: Service) -> None:
    answer = service.caller.http.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "redis": True, "model": "tiny", "worker": True}


def test_a_service_whose_workers_serve_another_model_is_not_ready(serve: Serve) -> None:
    answer = serve(models=("plain",)).caller.http.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"status": "not_ready", "redis": True, "model": "tiny", "worker": False}


def test_a_service_whose_worker_fell_silent_is_not_ready(serve: Serve) -> None:
    service = serve(jobs={"lease_s": 2.0, "heartbeat_s": 0.5})
    http = service.caller.http
    assert http.get("/readyz").status_code == 200

    wait_until(lambda: http.get("/readyz").status_code == 503, timeout_s=10, what="the worker's absence")

    service.worker.beat()
    assert http.get("/readyz").status_code == 200


def test_the_first_page_says_where_the_api_is(service: Service) -> None:
    answer = service.caller.http.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "/v1/images/generations" in answer.text
