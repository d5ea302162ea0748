"""Files: what is uploaded is there for its owner, byte for byte, until it is deleted; nothing else is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.http_caller import HttpCaller, Response, assert_error
from tests.integration.conftest import Serve, Service
from tests.waiting import wait_until

FILES = "/v1/files"
LINE = b'{"custom_id": "a", "method": "POST", "url": "/v1/images/generations", "body": {"prompt": "x"}}\n'
BATCHES = {"max_file_bytes": 4096, "max_files_per_owner": 3, "max_file_bytes_per_owner": 6000}


@pytest.fixture
def filing(serve: Serve, tmp_path: Path) -> Service:
    return serve(results={"urls": str(tmp_path / "objects")}, batches=BATCHES)


@pytest.fixture
def client(filing: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{filing.api.url}/v1", api_key="key", max_retries=0) as found:
        yield found


def upload(caller: HttpCaller, content: bytes = LINE, **fields: Any) -> Response:
    data = {"purpose": "batch", **fields}
    return caller.http.post(FILES, data=data, files={"file": ("lines.jsonl", content, "application/jsonl")})


def objects(service: Service) -> list[Path]:
    """The files of the folder in which objects lie."""
    return sorted(each for each in Path(service.api.settings.results.urls).rglob("*") if each.is_file())


def due(service: Service, file_id: str) -> float:
    """When a file's bytes may be deleted, unix seconds."""
    score = service.worker.client.zscore(service.key("objects"), f"files/{file_id}")
    assert score is not None
    return float(score) / 1000


def test_the_official_client_uploads_lists_fetches_and_deletes(client: OpenAI, filing: Service) -> None:
    first = client.files.create(file=("a.jsonl", LINE), purpose="batch")
    second = client.files.create(
        file=("folder/b.jsonl", LINE * 2),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )

    assert (first.object, first.bytes, first.filename, first.purpose, first.status) == (
        ("file", len(LINE), "a.jsonl", "batch", "processed")
    )
    assert second.filename == "b.jsonl"
    assert second.expires_at == second.created_at + 3600
    assert first.expires_at == first.created_at + 30 * 24 * 3600
    assert client.files.retrieve(first.id) == first
    assert [each.id for each in client.files.list()] == [second.id, first.id]
    assert [each.id for each in client.files.list(order="asc", limit=1)] == [first.id, second.id]
    assert [each.id for each in client.files.list(purpose="batch_output")] == []
    content = client.files.content(first.id)
    assert (content.content, content.response.headers["content-type"]) == (LINE, "application/jsonl")

    gone = client.files.delete(first.id)

    assert (gone.id, gone.deleted) == (first.id, True)
    assert [each.id for each in client.files.list()] == [second.id]
    with pytest.raises(openai.NotFoundError):
        client.files.content(first.id)
    now = filing.worker.client.time()[0]
    assert due(filing, first.id) <= now + 1
    assert due(filing, second.id) > now + 3600


def test_a_file_is_its_owners_alone(filing: Service) -> None:
    file_id = upload(filing.caller).json()["id"]
    stranger = filing.another_caller("a stranger's")

    for method, path in (
        ("GET", f"{FILES}/{file_id}"),
        ("GET", f"{FILES}/{file_id}/content"),
        ("DELETE", f"{FILES}/{file_id}"),
    ):
        assert_error(stranger.http.request(method, path), 404, "file_not_found")
    assert stranger.http.get(FILES).json()["data"] == []
    assert_error(stranger.http.get(FILES, params={"after": file_id}), 404, "file_not_found", param="after")
    assert filing.caller.http.get(f"{FILES}/{file_id}/content").content == LINE


@pytest.mark.parametrize("file_id", ["file-1", "file-" + "0" * 32, "..%20etc", "batch_" + "0" * 32])
def test_an_id_that_is_none_is_a_404(filing: Service, file_id: str) -> None:
    assert_error(filing.caller.http.get(f"{FILES}/{file_id}"), 404, "file_not_found")
    assert_error(filing.caller.http.get(f"{FILES}/{file_id}/content"), 404, "file_not_found")
    assert_error(filing.caller.http.delete(f"{FILES}/{file_id}"), 404, "file_not_found")


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"purpose": "assistants"}, 400, "unsupported_value", "purpose"),
        ({"purpose": "vision"}, 400, "unsupported_value", "purpose"),
        ({"purpose": ""}, 422, "invalid_value", "purpose"),
        ({"expires_after[seconds]": "3600"}, 422, "invalid_value", "expires_after.anchor"),
        (
            {"expires_after[anchor]": "last_active_at", "expires_after[seconds]": "3600"},
            422,
            "invalid_value",
            "expires_after.anchor",
        ),
        ({"expires_after[anchor]": "created_at"}, 422, "invalid_value", "expires_after.seconds"),
        *(
            (
                {"expires_after[anchor]": "created_at", "expires_after[seconds]": seconds},
                422,
                "invalid_value",
                "expires_after.seconds",
            )
            for seconds in ("3599", "2592001", "1e9", "-1", "soon", "9" * 30)
        ),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(
    filing: Service, fields: dict[str, str], status: int, code: str, param: str
) -> None:
    assert_error(upload(filing.caller, **fields), status, code, param=param)
    assert objects(filing) == []


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "invalid_file"),
        (b"\xff\xfe{}", 400, "invalid_file"),
        (b"{}\n\xc3", 400, "invalid_file"),
        (b" " * 4097, 413, "body_too_large"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    filing: Service, content: bytes, status: int, code: str
) -> None:
    assert_error(upload(filing.caller, content), status, code, param="file")
    assert objects(filing) == []


def test_what_is_no_form_is_refused(filing: Service) -> None:
    http = filing.caller.http

    assert_error(http.post(FILES, json={"purpose": "batch"}), 415, "not_form")
    assert_error(http.post(FILES, content=LINE), 415, "not_form")
    headers = {"Content-Type": "multipart/form-data"}
    assert_error(http.post(FILES, content=LINE, headers=headers), 400, "invalid_form", param="Content-Type")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_error(http.post(FILES, content=b"--x\r\n", headers=headers), 400, "invalid_form")
    assert_error(
        http.post(FILES, data={"purpose": "batch"}, files={"other": ("a", b"x")}),
        422,
        "invalid_value",
        param="other",
    )
    two = [("file", ("a", LINE)), ("file", ("b", LINE))]
    assert_error(http.post(FILES, data={"purpose": "batch"}, files=two), 422, "invalid_value", param="file")


def test_an_owner_keeps_so_many_files_and_bytes(filing: Service) -> None:
    ids = [upload(filing.caller, b"{}").json()["id"] for _ in range(3)]

    assert_error(upload(filing.caller, b"{}"), 400, "too_many_files")
    assert upload(filing.another_caller(), b"{}").status_code == 200
    filing.caller.http.delete(f"{FILES}/{ids[0]}")
    assert upload(filing.caller, b"x" * 4000).status_code == 200
    filing.caller.http.delete(f"{FILES}/{ids[1]}")
    assert_error(upload(filing.caller, b"x" * 4000), 400, "too_many_files")


def test_a_file_that_has_expired_is_gone_and_counts_no_more(filing: Service) -> None:
    ids = [upload(filing.caller, b"{}").json()["id"] for _ in range(3)]
    for file_id in ids:
        filing.worker.client.delete(filing.key("file", file_id))

    assert filing.caller.http.get(FILES).json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert upload(filing.caller, b"{}").status_code == 200


def test_bytes_that_have_gone_without_their_file_are_a_404(filing: Service) -> None:
    file_id = upload(filing.caller).json()["id"]
    for path in objects(filing):
        path.unlink()

    assert_error(filing.caller.http.get(f"{FILES}/{file_id}/content"), 404, "file_not_found")


def test_a_page_of_files_has_an_end(filing: Service) -> None:
    ids = [upload(filing.caller, b"{}").json()["id"] for _ in range(3)]

    page = filing.caller.http.get(FILES, params={"limit": 2}).json()
    rest = filing.caller.http.get(FILES, params={"limit": 2, "after": page["last_id"]}).json()

    assert ([each["id"] for each in page["data"]], page["has_more"]) == ([ids[2], ids[1]], True)
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == ([ids[0]], False)


def test_a_caller_that_goes_leaves_nothing(filing: Service) -> None:
    def half() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        raise ConnectionError

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with pytest.raises(ConnectionError):
        filing.caller.http.post(FILES, content=half(), headers=headers)

    assert upload(filing.caller).status_code == 200
    wait_until(lambda: len(objects(filing)) == 1, what="the whole file alone")


def test_without_a_place_for_files_the_setting_is_named(service: Service) -> None:
    for answer in (
        upload(service.caller),
        service.caller.http.get(FILES),
        service.caller.http.get(f"{FILES}/any"),
        service.caller.http.get(f"{FILES}/any/content"),
        service.caller.http.delete(f"{FILES}/any"),
    ):
        assert "DARKROOM_RESULTS__URLS" in assert_error(answer, 400, "unsupported_endpoint")


def test_nothing_of_a_file_is_in_redis(filing: Service) -> None:
    file_id = upload(filing.caller, json.dumps({"prompt": "my secret"}).encode()).json()["id"]

    kept = filing.worker.client.hgetall(filing.key("file", file_id))
    assert b"my secret" not in b" ".join(kept.values())
