"""A job belongs to the key, organization and project that made it; to anyone else it is a 404."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.http_caller import JOBS, HttpCaller, Response, assert_error
from tests.integration.conftest import Service

OWN = {"key": "key one", "OpenAI_Organization": "org-one", "OpenAI_Project": "proj-one"}

STRANGERS: dict[str, dict[str, str]] = {
    "another key": {**OWN, "key": "key two"},
    "no key": {**OWN, "key": ""},
    "another organization": {**OWN, "OpenAI_Organization": "org-two"},
    "another project": {**OWN, "OpenAI_Project": "proj-two"},
    "no organization": {"key": "key one", "OpenAI_Project": "proj-one"},
    "organization and project changed places": {
        "key": "key one",
        "OpenAI_Organization": "proj-one",
        "OpenAI_Project": "org-one",
    },
    "the key run together with the organization": {
        "key": "key oneorg-one",
        "OpenAI_Organization": "",
        "OpenAI_Project": "proj-one",
    },
}

ROUTES: dict[str, Callable[[HttpCaller, str], Response]] = {
    "read": lambda caller, job_id: caller.http.get(f"{JOBS}/{job_id}"),
    "wait": lambda caller, job_id: caller.http.get(f"{JOBS}/{job_id}", headers={"Prefer": "wait=10"}),
    "result": lambda caller, job_id: caller.result(job_id),
    "cancel": lambda caller, job_id: caller.cancel(job_id),
    "events": lambda caller, job_id: caller.http.get(f"{JOBS}/{job_id}/events"),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_anothers_job_is_a_404_on_every_route(service: Service, stranger: str, route: str) -> None:
    owner = service.another_caller(**OWN)
    other = service.another_caller(**STRANGERS[stranger])
    job_id = owner.submit()

    answer = ROUTES[route](other, job_id)

    never_was = ROUTES[route](other, "0" * 32)
    assert_error(answer, 404, "job_not_found")
    assert answer.content == never_was.content
    assert owner.job(job_id)["status"] == "queued"


@pytest.mark.parametrize("stranger", STRANGERS)
def test_anothers_jobs_are_in_no_list(automatic: Service, stranger: str) -> None:
    job_id = automatic.another_caller(**OWN).submit()
    other = automatic.another_caller(**STRANGERS[stranger])

    assert other.http.get(JOBS).json()["data"] == []
    assert_error(other.http.get(JOBS, params={"after": job_id}), 404, "job_not_found", param="after")


def test_a_user_is_part_of_the_same_owner(automatic: Service) -> None:
    caller = automatic.another_caller("with users")
    ids = [caller.submit(user=user) for user in ("anna", "bert")]

    assert [job["id"] for job in caller.http.get(JOBS).json()["data"]] == ids[::-1]


@pytest.mark.parametrize("header", ["OpenAI-Organization", "OpenAI-Project"])
@pytest.mark.parametrize("value", ["a b", "org/one", "x" * 129, "é", "a,b", "{}"])
def test_an_organization_or_project_is_a_short_plain_name(
    automatic: Service, header: str, value: str
) -> None:
    answer = automatic.caller.generate({header: value.encode("latin-1")})  # type: ignore[dict-item]

    assert_error(answer, 422, "invalid_value", param=header)
    assert answer.json()["detail"][0]["loc"] == ["header", header]


@pytest.mark.parametrize("header", ["OpenAI-Organization", "OpenAI-Project"])
@pytest.mark.parametrize("path", [JOBS, f"{JOBS}/{'0' * 32}", f"{JOBS}/{'0' * 32}/result"])
def test_every_job_route_checks_them(automatic: Service, header: str, path: str) -> None:
    answer = automatic.caller.http.get(path, headers={header: "not a name"})

    assert_error(answer, 422, "invalid_value", param=header)


def test_an_empty_organization_is_none(automatic: Service) -> None:
    job_id = automatic.another_caller("key three").submit()

    assert automatic.another_caller("key three", OpenAI_Organization="", OpenAI_Project="").job(job_id)


def test_keys_and_users_are_stored_as_hashes_only(service: Service) -> None:
    secrets = {"sk-very-secret", "org-secret", "proj-secret", "user-secret@example.org"}
    caller = service.another_caller(
        "sk-very-secret", OpenAI_Organization="org-secret", OpenAI_Project="proj-secret"
    )
    caller.submit({"Idempotency-Key": "sk-very-secret"}, user="user-secret@example.org")

    stored = "\n".join(everything(service.worker.client, service.key("*")))
    assert "a tiny picture" in stored
    assert [secret for secret in secrets if secret in stored] == []


def everything(client: Any, pattern: str) -> list[str]:
    """Every key that matches, with all it holds, as text."""
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"hash": lambda name: sorted(client.hgetall(name).items()),
        b"string": client.get,
        b"zset": lambda name: client.zrange(name, 0, -1),
        b"set": client.smembers,
        b"stream": client.xrange,
    }
    return [f"{name!r} {readers[client.type(name)](name)!r}" for name in client.scan_iter(pattern)]
