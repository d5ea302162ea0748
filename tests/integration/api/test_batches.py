"""Batches as they are asked for: made of a file, followed, listed and cancelled by their owner alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from cli.keyholder import Keyholder
from shared.api_keys import Scope
from tests.http_caller import GENERATIONS, HttpCaller, Response, assert_error
from tests.integration.api.test_files import upload
from tests.integration.conftest import Serve, Service

BATCHES = "/v1/batches"
NOBODY = "batch_" + "0" * 32


@pytest.fixture
def filing(serve: Serve, tmp_path: Path) -> Service:
    return serve(results={"urls": str(tmp_path / "objects")}, batches={"max_unfinished_per_owner": 2})


@pytest.fixture
def client(filing: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{filing.api.url}/v1", api_key="key", max_retries=0) as found:
        yield found


def begin(caller: HttpCaller, file_id: str, headers: dict[str, str] | None = None, **fields: Any) -> Response:
    body = {"input_file_id": file_id, "endpoint": GENERATIONS, "completion_window": "24h", **fields}
    return caller.http.post(BATCHES, json=body, headers=headers)


def uploaded(service: Service, caller: HttpCaller | None = None) -> str:
    file_id: str = upload(caller or service.caller).json()["id"]
    return file_id


def test_the_official_client_makes_follows_lists_and_cancels(client: OpenAI, filing: Service) -> None:
    file_id = uploaded(filing)

    made = client.batches.create(
        input_file_id=file_id,
        endpoint="/v1/images/generations",
        completion_window="24h",
        metadata={"name": "nightly"},
        output_expires_after={"anchor": "created_at", "seconds": 3600},
    )

    assert (made.object, made.status, made.endpoint, made.input_file_id, made.metadata) == (
        ("batch", "validating", GENERATIONS, file_id, {"name": "nightly"})
    )
    assert made.expires_at == made.created_at + 24 * 3600
    assert made.request_counts is not None
    assert made.request_counts.model_dump() == {"total": 0, "completed": 0, "failed": 0}
    assert (made.errors, made.output_file_id, made.error_file_id, made.usage) == (None,) * 4
    assert client.batches.retrieve(made.id) == made
    assert [each.id for each in client.batches.list(limit=1)] == [made.id]

    cancelled = client.batches.cancel(made.id)

    assert (cancelled.status, cancelled.id) == ("cancelling", made.id)
    assert cancelled.cancelling_at is not None
    assert client.batches.cancel(made.id).status == "cancelling"


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"endpoint": "/v1/chat/completions"}, 400, "unsupported_value", "endpoint"),
        ({"endpoint": "/v1/images/variations"}, 400, "unsupported_value", "endpoint"),
        ({"endpoint": None}, 422, "invalid_value", "endpoint"),
        ({"completion_window": "1h"}, 400, "unsupported_value", "completion_window"),
        ({"completion_window": 24}, 422, "invalid_value", "completion_window"),
        ({"input_file_id": "file-" + "0" * 32}, 404, "file_not_found", "input_file_id"),
        ({"input_file_id": "x"}, 404, "file_not_found", "input_file_id"),
        ({"input_file_id": 7}, 422, "invalid_value", "input_file_id"),
        ({"metadata": {str(each): "" for each in range(17)}}, 422, "invalid_value", "metadata"),
        ({"metadata": {"a": "x" * 513}}, 422, "invalid_value", "a"),
        ({"metadata": {"x" * 65: ""}}, 422, "invalid_value", "[key]"),
        ({"metadata": {"a": 1}}, 422, "invalid_value", "a"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 3599}},
            422,
            "invalid_value",
            "seconds",
        ),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, 422, "invalid_value", "anchor"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(
    filing: Service, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    assert_error(begin(filing.caller, uploaded(filing), **fields), status, code, param=param)
    assert filing.caller.http.get(BATCHES).json()["data"] == []


def test_a_body_that_is_no_json_is_refused(filing: Service) -> None:
    http = filing.caller.http

    assert_error(http.post(BATCHES, data={"endpoint": "x"}), 415, "not_json")
    headers = {"Content-Type": "application/json"}
    assert_error(http.post(BATCHES, content=b"{", headers=headers), 422, "invalid_json")
    assert_error(http.post(BATCHES, content=b" " * 1024**2 + b"{}", headers=headers), 413, "body_too_large")


def test_another_owners_file_and_batch_do_not_exist(filing: Service) -> None:
    file_id = uploaded(filing)
    batch_id = begin(filing.caller, file_id).json()["id"]
    stranger = filing.another_caller("a stranger's")

    assert_error(begin(stranger, file_id), 404, "file_not_found", param="input_file_id")
    assert_error(stranger.http.get(f"{BATCHES}/{batch_id}"), 404, "batch_not_found")
    assert_error(stranger.http.post(f"{BATCHES}/{batch_id}/cancel"), 404, "batch_not_found")
    assert stranger.http.get(BATCHES).json()["data"] == []
    assert_error(
        stranger.http.get(BATCHES, params={"after": batch_id}), 404, "batch_not_found", param="after"
    )
    assert filing.caller.http.get(f"{BATCHES}/{batch_id}").json()["status"] == "validating"


@pytest.mark.parametrize("batch_id", [NOBODY, "batch_1", "file-" + "0" * 32])
def test_an_id_that_is_none_is_a_404(filing: Service, batch_id: str) -> None:
    assert_error(filing.caller.http.get(f"{BATCHES}/{batch_id}"), 404, "batch_not_found")
    assert_error(filing.caller.http.post(f"{BATCHES}/{batch_id}/cancel"), 404, "batch_not_found")


def test_a_file_that_a_batch_reads_is_not_deleted(filing: Service) -> None:
    file_id = uploaded(filing)
    batch_id = begin(filing.caller, file_id).json()["id"]

    assert_error(filing.caller.http.delete(f"/v1/files/{file_id}"), 409, "file_in_use")
    assert filing.worker.client.pttl(filing.key("file", file_id)) == -1
    assert filing.caller.http.get(f"{BATCHES}/{batch_id}").json()["status"] == "validating"


def test_an_owner_has_so_many_unfinished_batches(filing: Service) -> None:
    file_id = uploaded(filing)
    for _ in range(2):
        assert begin(filing.caller, file_id).status_code == 200

    answer = begin(filing.caller, file_id)

    assert_error(answer, 429, "too_many_batches", kind="rate_limit_error")
    assert answer.headers["retry-after"] == "60"
    other = filing.another_caller()
    assert begin(other, uploaded(filing, other)).status_code == 200


def test_a_repeated_call_gets_the_same_batch(filing: Service) -> None:
    file_id, key = uploaded(filing), {"Idempotency-Key": "one"}
    first = begin(filing.caller, file_id, key).json()["id"]

    assert begin(filing.caller, file_id, key).json()["id"] == first
    assert_error(begin(filing.caller, file_id, key, metadata={"a": "b"}), 422, "idempotency_key_reused")
    assert len(filing.caller.http.get(BATCHES).json()["data"]) == 1


def test_pages_are_newest_first(filing: Service) -> None:
    file_id = uploaded(filing)
    ids = [begin(filing.caller, file_id).json()["id"] for _ in range(2)]

    page = filing.caller.http.get(BATCHES, params={"limit": 1}).json()
    rest = filing.caller.http.get(BATCHES, params={"limit": 1, "after": page["last_id"]}).json()

    assert ([each["id"] for each in page["data"]], page["has_more"]) == ([ids[1]], True)
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == ([ids[0]], False)


def test_a_file_of_what_was_drawn_is_no_file_of_a_batch(filing: Service) -> None:
    file_id = uploaded(filing)
    filing.worker.client.hset(filing.key("file", file_id), "purpose", "batch_output")

    assert_error(begin(filing.caller, file_id), 400, "unsupported_value", param="input_file_id")


def test_without_a_place_for_batches_the_setting_is_named(service: Service) -> None:
    for answer in (
        begin(service.caller, "any"),
        service.caller.http.get(BATCHES),
        service.caller.http.get(f"{BATCHES}/{NOBODY}"),
        service.caller.http.post(f"{BATCHES}/{NOBODY}/cancel"),
    ):
        assert "DARKROOM_RESULTS__URLS" in assert_error(answer, 400, "unsupported_endpoint")


def test_a_key_that_only_reads_makes_and_cancels_nothing(filing: Service) -> None:
    file_id = uploaded(filing)
    settings = filing.api.settings
    keyholder = Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode())
    reader = filing.another_caller(keyholder.create("a reader", scopes=frozenset({Scope.READ})).text)

    assert_error(begin(reader, file_id), 403, "permission_denied")
    assert_error(reader.http.post(f"{BATCHES}/{NOBODY}/cancel"), 403, "permission_denied")
    assert_error(upload(reader), 403, "permission_denied")


def test_a_batch_is_told_of_by_errors_of_the_official_client(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no such batch"):
        client.batches.retrieve(NOBODY)
