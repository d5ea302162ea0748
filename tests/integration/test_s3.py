"""URL results in S3, by a server that speaks it: uploads, addresses, deletion, and its absence."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from pydantic import SecretStr

from shared.errors import ObjectUnavailable, UploadFailed
from shared.objects import ObjectStore, open_store
from shared.settings import ResultSettings
from tests.http_caller import assert_error
from tests.integration.conftest import Serve
from tests.s3_server import SECRETS, S3Server
from worker.uploads import Deleter


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with S3Server() as running:
        yield running


def opened(server: S3Server, **other: object) -> ObjectStore:
    found = open_store(ResultSettings(**{**server.settings, **other}))
    assert found is not None
    return found


def fetch(url: str) -> httpx2.Response:
    return httpx2.get(url, trust_env=False)


async def test_what_is_written_is_read_streamed_and_deleted(server: S3Server, tmp_path: Path) -> None:
    store = opened(server)
    (tmp_path / "big").write_bytes(b"12" * 3_000_000)

    store.put("pictures/a-0.png", b"a picture", "image/png")
    store.put("files/big.jsonl", tmp_path / "big", "application/jsonl")

    assert server.names() == {"darkroom/pictures/a-0.png", "darkroom/files/big.jsonl"}
    assert store.read("pictures/a-0.png") == b"a picture"
    assert store.size_bytes("files/big.jsonl") == 6_000_000
    assert b"".join([chunk async for chunk in store.stream("files/big.jsonl")]) == b"12" * 3_000_000
    store.delete(["pictures/a-0.png", "pictures/never-was.png", "files/big.jsonl"])
    assert server.names() == set()
    with pytest.raises(FileNotFoundError):
        store.read("pictures/a-0.png")


def test_an_address_needs_no_key_and_says_what_it_is(server: S3Server) -> None:
    store = opened(server)
    store.put("pictures/a-0.webp", b"a picture", "image/webp")

    url = store.signed("pictures/a-0.webp", 60)

    assert url is not None
    got = fetch(url)
    assert (got.status_code, got.content) == (200, b"a picture")
    assert got.headers["content-type"] == "image/webp"
    assert got.headers["content-disposition"] == 'inline; filename="a-0.webp"'
    assert SECRETS["s3_secret_access_key"] not in url
    assert 55 <= int(dict(parse_qsl(urlsplit(url).query))["X-Amz-Expires"]) <= 60
    part = httpx2.get(url, headers={"Range": "bytes=2-4"}, trust_env=False)
    assert (part.status_code, part.content) == (206, b"pic")


def test_a_result_goes_to_the_bucket_and_is_read_from_there(serve: Serve, server: S3Server) -> None:
    service = serve(results=server.settings)
    with service.worker.serving():
        answer = service.caller.generate(response_format="url", n=2, seed=7)

    urls = [image["url"] for image in answer.json()["data"]]
    assert all(url.startswith(f"{server.endpoint}/{server.bucket}/darkroom/pictures/") for url in urls)
    assert [fetch(url).content for url in urls] == [b"a tiny picture 7", b"a tiny picture 8"]
    (again, _) = service.caller.result(answer.headers["x-job-id"]).json()["data"]
    assert urlsplit(again["url"]).path == urlsplit(urls[0]).path
    assert fetch(again["url"]).content == b"a tiny picture 7"
    # What the API serves itself is a folder's: there is none.
    assert_error(fetch(f"{service.api.url}/files/pictures/a.png"), 403, "invalid_signature")


def test_what_has_expired_is_deleted_from_the_bucket(serve: Serve, server: S3Server) -> None:
    service = serve(results=server.settings)
    with service.worker.serving():
        answer = service.caller.generate(response_format="url")
    client, keys = service.worker.client, service.worker.store.keys
    assert len(server.names()) == 1
    uploads = service.worker.uploads
    assert uploads is not None
    deleter = Deleter(service.worker.store, uploads.objects, service.api.settings.results)

    deleter.delete()
    assert len(server.names()) == 1
    (name,) = client.zrange(keys.objects, 0, -1)
    client.zadd(keys.objects, {name: 1})
    server.away()
    with pytest.raises(ObjectUnavailable):
        deleter.delete()
    server.back()
    deleter.delete()
    assert client.zcard(keys.deleting) == 1
    client.zadd(keys.deleting, {name: 1})
    deleter.delete()

    assert server.names() == set()
    assert client.zcard(keys.deleting) == 0
    assert fetch(answer.json()["data"][0]["url"]).status_code == 404


def test_a_server_that_comes_back_has_the_picture(serve: Serve, server: S3Server) -> None:
    service = serve(results={**server.settings, "upload_retry_s": 20})
    server.away()
    back = threading.Timer(1.0, server.back)
    back.start()
    with service.worker.serving():
        answer = service.caller.generate(response_format="url", seed=7)
    back.join()

    assert answer.status_code == 200
    assert fetch(answer.json()["data"][0]["url"]).content == b"a tiny picture 7"


def test_no_secret_and_no_address_is_said_of_a_failure(
    server: S3Server, capfd: pytest.CaptureFixture[str]
) -> None:
    server.away()
    began_at = time.monotonic()
    with pytest.raises(ObjectUnavailable) as caught:
        opened(server).put("pictures/a.png", b"x", "image/png")

    assert time.monotonic() - began_at < 10
    said = caught.value.message + "".join(capfd.readouterr())
    for secret in (*SECRETS.values(), server.endpoint, server.bucket):
        assert secret not in said


def test_a_bucket_that_is_not_there_is_a_store_that_is_away(server: S3Server) -> None:
    with pytest.raises(ObjectUnavailable):
        opened(server, urls="s3://another-bucket").put("pictures/a.png", b"x", "image/png")


def test_a_key_that_is_not_the_bucket_s_is_tried_for_a_while_and_fails_the_job(
    serve: Serve, server: S3Server
) -> None:
    service = serve(results={**server.settings, "upload_retry_s": 0.5})
    job_id = service.caller.submit(response_format="url")
    attempt = service.worker.take()
    server.ask_for_keys()
    began_at = time.monotonic()

    with pytest.raises(UploadFailed):
        service.worker.finish(attempt)

    assert time.monotonic() - began_at >= 0.5
    service.worker.store.fail(attempt, code=UploadFailed.code, message=UploadFailed().message)
    assert_error(service.caller.result(job_id), 500, "upload_failed", kind="server_error")


def test_an_endpoint_with_another_name_for_callers(server: S3Server) -> None:
    store = opened(server, s3_public_endpoint=f"http://localhost:{server.port}")
    store.put("a.png", b"x", "image/png")
    url = store.signed("a.png", 60)
    assert url is not None
    assert url.startswith(f"http://localhost:{server.port}/")
    assert fetch(url).content == b"x"


def test_secrets_are_hidden_where_settings_are_shown() -> None:
    settings = ResultSettings(urls="s3://b", **{k: SecretStr(v) for k, v in SECRETS.items()})  # type: ignore[arg-type]
    assert not any(secret in repr(settings) for secret in SECRETS.values())
