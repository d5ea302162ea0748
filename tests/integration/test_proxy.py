"""nginx in front of the API, with the very text that docs/operations.md shows: what it must not spoil."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.ports import free_port
from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT, ApiSettings
from tests.http_caller import GENERATIONS, HttpCaller
from tests.integration.conftest import Serve, Service
from tests.sse import streaming
from tests.waiting import wait_until

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
OPERATIONS = REPO_ROOT / "docs" / "operations.md"
SCALING = REPO_ROOT / "docs" / "scaling.md"

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def shown(document: Path = OPERATIONS) -> str:
    """The block of a document."""
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    text: str = block
    return text


def configuration(folder: Path, block: str, here: dict[str, str]) -> Path:
    """A document's block, with the test's addresses, in a file that nginx can be started with."""
    for known, ours in here.items():
        assert known in block
        block = block.replace(known, ours)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{name}_temp_path {folder}/{name};\n" for name in kinds)
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{places}{block}}}\n"
    )
    return file


@contextmanager
def nginx(folder: Path, block: str, here: dict[str, str]) -> Iterator[str]:
    """Run nginx with a block; give its address."""
    port = free_port()
    file = configuration(folder, block, {"listen 80;": f"listen 127.0.0.1:{port};", **here})
    command = [str(NGINX), "-p", str(folder), "-c", str(file), "-e", "stderr"]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    listening = f":{port:04X} 00000000:0000 0A"
    try:
        wait_until(lambda: listening in Path("/proc/net/tcp").read_text(), what="nginx to listen")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def caller(service: Service, tmp_path: Path) -> Iterator[HttpCaller]:
    """A caller who knows nginx's port only."""
    here = {"127.0.0.1:8000": service.api.url.removeprefix("http://")}
    with nginx(tmp_path, shown(), here) as url, HttpCaller(url, "key") as found:
        yield found


def seconds(directive: str) -> float:
    (value,) = re.findall(rf"{directive} (\d+)s;", shown())
    return float(value)


def test_the_proxy_waits_longer_than_a_call_is_held_and_takes_the_largest_body() -> None:
    assert seconds("proxy_read_timeout") > ApiSettings().sync_timeout_s
    assert "client_max_body_size 1m;" in shown()
    assert ApiSettings().max_body_bytes == 1024**2


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
def test_each_name_leads_to_its_own_service(service: Service, serve: Serve, tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        other = serve(models=(), server=server, api={"allowed_hosts": ("b.pictures.example",)})
        here = {
            "10.0.0.11:8000": service.api.url.removeprefix("http://"),
            "10.0.0.12:8000": other.api.url.removeprefix("http://"),
        }
        with nginx(tmp_path, shown(SCALING), here) as url, HttpCaller(url, "key") as found:
            first = found.http.get("/readyz")
            second = found.http.get("/readyz", headers={"host": "b.pictures.example"})

    # The second service has no worker.
    assert (first.status_code, second.status_code) == (200, 503)
