"""nginx in front of the API, as it is shipped: what it must not spoil (tests/e2e: what it bounds)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.ports import LOOPBACK, free_port
from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT, ApiSettings
from tests.http_caller import GENERATIONS, HttpCaller, assert_error
from tests.integration.conftest import Serve, Service
from tests.proxy import needs_nginx, proxy, running, shipped
from tests.sse import streaming
from tests.waiting import wait_until

SCALING = REPO_ROOT / "docs" / "scaling.md"


@pytest.fixture
def caller(service: Service, tmp_path: Path) -> Iterator[HttpCaller]:
    """A caller who knows the proxy's port only."""
    api = service.api.url.removeprefix("http://")
    with proxy(tmp_path, api) as port, HttpCaller(f"http://{LOOPBACK}:{port}", "key") as found:
        yield found


def seconds(directive: str) -> float:
    (value,) = re.findall(rf"{directive} (\d+)s;", shipped())
    return float(value)


def test_the_proxy_waits_longer_than_a_call_is_held_and_takes_the_largest_body() -> None:
    settings = ApiSettings()

    assert seconds("proxy_read_timeout") > settings.sync_timeout_s
    assert "client_max_body_size 1m;" in shipped()
    assert settings.max_body_bytes == 1024**2
    assert f"limit_conn requests {settings.max_connections};" in shipped()


@needs_nginx
def test_a_held_call_gets_its_picture_through_the_proxy(service: Service, caller: HttpCaller) -> None:
    held = caller.later()
    job_id = service.worker.do()

    answer = held.result(10)
    assert answer.status_code == 200
    assert answer.headers["server"].startswith("nginx")
    assert answer.headers["x-job-id"] == job_id
    assert set(answer.json()) == {"created", "data", "usage"}


@needs_nginx
def test_a_stream_is_passed_on_as_it_comes(service: Service, caller: HttpCaller) -> None:
    body = {"prompt": "a tiny picture", "stream": True, "partial_images": 1}
    with streaming(caller.http, "POST", GENERATIONS, json=body) as events:
        attempt = service.worker.take()
        service.worker.store.preview(attempt, image=0, partial=0, file=b"cHJldmlldw==")
        first = events.next()
        running = service.caller.job(attempt.job_id)["status"]
        service.worker.finish(attempt)
        (last,) = events.rest()

    assert (first.name, running) == ("image_generation.partial_image", "running")
    assert last.name == "image_generation.completed"


@needs_nginx
def test_who_hangs_up_at_the_proxy_is_gone_for_the_service(service: Service, caller: HttpCaller) -> None:
    body = {"prompt": "a tiny picture", "stream": True}
    cancelling = {"x-on-disconnect": "cancel"}
    with streaming(caller.http, "POST", GENERATIONS, json=body, headers=cancelling):
        attempt = service.worker.take()

    wait_until(lambda: service.caller.job(attempt.job_id)["status"] == "cancelled", what="the cancel")


@needs_nginx
def test_a_body_that_is_too_large_is_refused(caller: HttpCaller) -> None:
    assert caller.post(b" " * (1024**2 + 1)).status_code == 413


@needs_nginx
def test_who_asks_while_there_is_no_api_is_told_to_come_again(tmp_path: Path) -> None:
    with (
        proxy(tmp_path, f"{LOOPBACK}:{free_port()}") as port,
        HttpCaller(f"http://{LOOPBACK}:{port}", "key") as caller,
    ):
        answer = caller.generate()

    assert_error(answer, 503, "api_unavailable", kind="server_error")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@needs_nginx
def test_each_name_leads_to_its_own_service(service: Service, serve: Serve, tmp_path: Path) -> None:
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", SCALING.read_text(), re.MULTILINE | re.DOTALL)
    with EmbeddedServer() as server:
        other = serve(models=(), server=server, api={"allowed_hosts": ("b.pictures.example",)})
        port = free_port()
        here = {
            "10.0.0.11:8000": service.api.url.removeprefix("http://"),
            "10.0.0.12:8000": other.api.url.removeprefix("http://"),
            "listen 80;": f"listen {LOOPBACK}:{port};",
        }
        for known, ours in here.items():
            assert known in block
            block = block.replace(known, ours)
        around = f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{block}}}\n"
        with running(tmp_path, around), HttpCaller(f"http://{LOOPBACK}:{port}", "key") as found:
            first = found.http.get("/readyz")
            second = found.http.get("/readyz", headers={"host": "b.pictures.example"})

    # The second service has no worker.
    assert (first.status_code, second.status_code) == (200, 503)
