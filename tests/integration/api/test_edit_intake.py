"""What comes with an edit may stall, break off, be too much or end what reads it: the next one is served."""

import base64
import json
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import psutil
import pytest
from PIL import Image

from api.uploads.spool import PREFIX
from cli.ports import free_port
from cli.valkey import EmbeddedServer
from tests import odd_pictures as odd
from tests.http_caller import ASYNC, HttpCaller, Response, assert_error
from tests.integration.conftest import Serve, Service
from tests.raw_http import everything
from tests.service import process
from tests.waiting import wait_until

EDITS = "/v1/images/edits"
PICTURE = odd.plain((96, 64))
# What a reader has to do with these takes seconds, and no more than 70 kB come of each.
LARGE = (6000, 4000)


def edit(caller: HttpCaller, *pictures: bytes, prompt: str = "x", **fields: str) -> Response:
    parts = [("image", ("a.png", each, "image/png")) for each in pictures or (PICTURE,)]
    return caller.http.post(EDITS, data={"prompt": prompt, **fields}, files=parts, headers=ASYNC)


def edit_json(caller: HttpCaller, body: bytes) -> Response:
    return caller.http.post(EDITS, content=body, headers={**ASYNC, "Content-Type": "application/json"})


def form_of(length: int, boundary: bytes = b"limit") -> bytes:
    """Return a form with a picture, so long in all: nobody reads what stands behind a picture's end."""
    head = (
        b'--%b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx\r\n'
        b'--%b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' % (boundary, boundary)
    )
    end = b"\r\n--%b--\r\n" % boundary
    return head + PICTURE.ljust(length - len(head) - len(end), b"\0") + end


def json_of(length: int) -> bytes:
    """Return a JSON body with a picture, so long in all."""
    url = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    return json.dumps({"prompt": "x", "images": [{"image_url": url}]}).encode().ljust(length)


def readers() -> list[psutil.Process]:
    """Return the processes that read pictures for the API in this one."""
    return [each for each in psutil.Process().children() if "api.edits.reader" in each.cmdline()]


def lying() -> list[Path]:
    """Return the folders of uploads that there are."""
    return list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*/*"))


def half_sent(service: Service, length: int = 1_000_000) -> socket.socket:
    """Send half a form, and wait until it lies there."""
    body, before = form_of(length), set(lying())
    host, port = service.api.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(
        f"POST {EDITS} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=limit\r\n\r\n".encode()
        + body[: length // 2]
    )

    def lies() -> bool:
        return any(
            file.stat().st_size > length // 4 for each in set(lying()) - before for file in each.iterdir()
        )

    wait_until(lies, what="half an upload")
    return connection


@pytest.fixture
def own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own for what is uploaded in this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def service(serve: Serve, own_tmp: Path) -> Iterator[Service]:
    assert own_tmp.is_dir()
    yield serve(api={"max_uploads": 1, "max_readers": 1, "upload_timeout_s": 2.0, "reading_timeout_s": 20.0})
    assert lying() == []


def test_a_reader_that_is_killed_at_its_work_is_replaced_by_one_that_does_it(service: Service) -> None:
    assert edit(service.caller).status_code == 202
    (reader,) = readers()
    busy_s = sum(reader.cpu_times()[:2])

    with ThreadPoolExecutor() as threads:
        call = threads.submit(edit, service.caller, empty_of(LARGE))
        wait_until(lambda: sum(reader.cpu_times()[:2]) > busy_s + 0.1, what="the reader to be busy")
        reader.kill()
        answer = call.result()

    assert answer.status_code == 202
    assert reader not in readers()
    assert edit(service.caller).status_code == 202


def test_a_reader_that_hangs_is_ended(serve: Serve, own_tmp: Path) -> None:
    service = serve(api={"max_readers": 1, "reading_timeout_s": 5.0})
    assert edit(service.caller).status_code == 202
    (reader,) = readers()

    reader.suspend()
    answer = edit(service.caller)

    assert_error(answer, 400, "invalid_image", param="image")
    assert not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE
    assert edit(service.caller).status_code == 202
    assert list(own_tmp.glob("*/*")) == []


def test_a_picture_that_takes_more_memory_than_there_is_for_it_is_refused(
    serve: Serve, own_tmp: Path
) -> None:
    service = serve(api={"max_input_px": 500_000_000})

    answer = edit(service.caller, empty_of((17_000, 17_000)))

    assert "too much memory" in assert_error(answer, 400, "invalid_image", param="image")
    assert edit(service.caller).status_code == 202
    assert list(own_tmp.glob("*/*")) == []


@pytest.mark.slow
def test_a_body_that_takes_more_memory_than_there_is_for_it_is_refused(serve: Serve, own_tmp: Path) -> None:
    service = serve()
    # Each `{},` takes 64 bytes and more.
    answer = edit_json(service.caller, b'{"images": [' + b"{}," * 16_000_000 + b"0]}")

    assert "memory" in assert_error(answer, 413, "body_too_large")
    assert edit(service.caller).status_code == 202
    assert list(own_tmp.glob("*/*")) == []


def test_an_upload_that_stalls_is_refused_in_time_and_lets_the_next_one_in(service: Service) -> None:
    with closing(half_sent(service)) as connection:
        began_at = time.monotonic()
        said = everything(connection)

    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in said
    assert time.monotonic() - began_at < 4
    assert edit(service.caller).status_code == 202


def test_a_caller_that_hangs_up_leaves_no_file_and_lets_the_next_one_in(service: Service) -> None:
    half_sent(service).close()

    assert edit(service.caller).status_code == 202
    wait_until(lambda: lying() == [], what="the files to be gone")


def test_one_more_than_are_read_at_a_time_waits_and_is_told_when_to_come_again(
    serve: Serve, own_tmp: Path
) -> None:
    service = serve(api={"max_uploads": 1})
    with closing(half_sent(service)):
        began_at = time.monotonic()
        answer = edit(service.caller)

        assert_error(answer, 503, "queue_full", kind="server_error")
        assert 4 < time.monotonic() - began_at < 8
        assert int(answer.headers["retry-after"]) == 5
    assert edit(service.caller).status_code == 202
    assert own_tmp.is_dir()


@pytest.mark.parametrize("body", [form_of, json_of])
@pytest.mark.parametrize("framed", ["by length", "in chunks"])
def test_a_body_may_be_as_long_as_the_limit_and_no_byte_longer(
    serve: Serve, own_tmp: Path, body: type, framed: str
) -> None:
    limit = 100_000
    service = serve(api={"max_upload_bytes": limit})
    kind = "application/json" if body is json_of else "multipart/form-data; boundary=limit"

    def send(length: int) -> Response:
        whole = body(length)
        assert len(whole) == length
        content = whole if framed == "by length" else iter([whole[:50_000], whole[50_000:]])
        return service.caller.http.post(EDITS, content=content, headers={**ASYNC, "Content-Type": kind})

    assert send(limit).status_code == 202
    assert_error(send(limit + 1), 413, "body_too_large")
    assert list(own_tmp.glob("*/*")) == []


def test_a_file_may_be_as_long_as_the_limit_and_no_byte_longer(serve: Serve) -> None:
    limit = 100_000
    service = serve(api={"max_input_file_bytes": limit})

    for length, status in ((limit, 202), (limit + 1, 413)):
        file = PICTURE.ljust(length, b"\0")
        url = f"data:image/png;base64,{base64.b64encode(file).decode()}"
        as_json = json.dumps({"prompt": "x", "images": [url]}).encode()
        assert edit(service.caller, file).status_code == status
        assert edit_json(service.caller, as_json).status_code == status


def test_a_disk_that_is_full_is_nothing_that_the_caller_did(
    valkey: EmbeddedServer, prefix: str, tmp_path: Path
) -> None:
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    (tmp_path / "small").mkdir()
    small, port = str(tmp_path / "small"), free_port()
    script = (
        f"mount -t tmpfs -o size=256k tmpfs {shlex.quote(small)} && exec {shlex.quote(sys.executable)} -m api"
    )
    settings = {
        "TMPDIR": small,
        "DARKROOM_REDIS__URL": valkey.url,
        "DARKROOM_REDIS__PREFIX": prefix,
        "DARKROOM_API__PORT": str(port),
        "DARKROOM_JOBS__QUEUE_WITHOUT_WORKER": "true",
    }
    api = process("api", ("unshare", "-rm", "sh", "-c", script), tmp_path, **settings)
    api.start()
    try:
        with HttpCaller(f"http://127.0.0.1:{port}") as caller:
            wait_until(lambda: serves(caller), 30, "the API")
            for answer in (edit(caller, PICTURE.ljust(400_000, b"\0")), edit_json(caller, json_of(400_000))):
                assert "no room" in assert_error(answer, 503, "queue_full", kind="server_error")
                assert answer.headers["retry-after"] == "5"
            assert edit(caller).status_code == 202
    finally:
        api.stop(5)


def serves(caller: HttpCaller) -> bool:
    try:
        return caller.http.get("/healthz").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def empty_of(size: tuple[int, int]) -> bytes:
    return odd.encoded(Image.new("RGBA", size), compress_level=1)
