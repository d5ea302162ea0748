"""API keys over HTTP: who is served, what a key may do, and how often."""

from collections.abc import Iterator
from typing import Any

import pytest

from cli.keyholder import Keyholder
from shared.api_keys import Scope
from tests.http_caller import GENERATIONS, JOBS, HttpCaller, Response, assert_error
from tests.integration.conftest import Serve, Service
from tests.keys import secret_of
from tests.waiting import wait_until


class Keyed:
    """A service with API keys."""

    def __init__(self, service: Service) -> None:
        settings = service.api.settings
        self.service = service
        self.keyholder = Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode())
        self.last_id = ""

    def caller(self, *, headers: dict[str, str] | None = None, **may: Any) -> HttpCaller:
        new = self.keyholder.create("a test's", **may)
        self.last_id = new.key.id
        return self.service.another_caller(new.text, **(headers or {}))


@pytest.fixture
def keyed(serve: Serve) -> Keyed:
    return Keyed(serve())


def test_while_there_is_no_key_everybody_on_this_machine_is_served(keyed: Keyed) -> None:
    assert keyed.service.another_caller("").http.get(JOBS).status_code == 200
    assert keyed.service.another_caller("sk-anything").http.get("/v1/operator").status_code == 200


def test_a_revoked_key_serves_nobody_and_does_not_open_the_service(keyed: Keyed) -> None:
    caller = keyed.caller()
    assert caller.http.get(JOBS).status_code == 200

    keyed.keyholder.revoke(keyed.last_id)

    wait_until(lambda: caller.http.get(JOBS).status_code == 401, timeout_s=10, what="the end of the key")
    assert keyed.service.another_caller("").http.get(JOBS).status_code == 401


def test_another_key_of_the_same_organization_is_another_owner(keyed: Keyed) -> None:
    headers = {"OpenAI_Organization": "org-one"}
    job_id = keyed.caller(headers=headers).submit()

    assert_error(keyed.caller(headers=headers).http.get(f"{JOBS}/{job_id}"), 404, "job_not_found")


def test_a_key_speaks_for_its_organization_and_no_other(keyed: Keyed) -> None:
    key = {"organizations": ("org-one",), "projects": ("proj-one", "proj-two")}
    new = keyed.keyholder.create("bound", **key)

    def ask(**headers: str) -> Response:
        return keyed.service.another_caller(new.text, **headers).http.get(JOBS)

    assert ask(OpenAI_Organization="org-one", OpenAI_Project="proj-two").status_code == 200
    assert ask(OpenAI_Project="proj-one").status_code == 200
    assert_error(ask(), 403, "permission_denied", param="OpenAI-Project")
    wrong = ask(OpenAI_Organization="org-two", OpenAI_Project="proj-one")
    assert_error(wrong, 403, "permission_denied", param="OpenAI-Organization")
    # What the key says for its caller is what the caller would have said.
    owner = keyed.service.another_caller(new.text, OpenAI_Organization="org-one", OpenAI_Project="proj-one")
    job_id = owner.submit()
    silent = keyed.service.another_caller(new.text, OpenAI_Project="proj-one")
    assert silent.job(job_id)["id"] == job_id


def test_a_key_may_use_its_models_only(keyed: Keyed) -> None:
    caller = keyed.caller(models=("plain",))

    assert [model["id"] for model in caller.http.get("/v1/models").json()["data"]] == ["plain"]
    assert_error(caller.generate(model="tiny"), 403, "permission_denied", param="model")
    assert caller.job(caller.submit(model="random", size="2048x2048"))["model"] == "plain"


def test_a_keys_models_are_named_in_any_case_and_by_any_alias(keyed: Keyed) -> None:
    for models in (("PLAIN", "Tiny"), ("plain", "STUDIO/tiny-1")):
        caller = keyed.caller(models=models)

        ids = [model["id"] for model in caller.http.get("/v1/models").json()["data"]]
        assert ids == ["tiny", "plain"]
        assert caller.job(caller.submit(model="TINY"))["model"] == "tiny"
    assert_error(
        keyed.caller(models=("PLAIN",)).generate(model="gpt-image-1"), 403, "permission_denied", param="model"
    )


def test_a_key_s_own_bound_of_unfinished_jobs_counts(keyed: Keyed) -> None:
    caller = keyed.caller(max_unfinished=2)
    caller.submit()
    caller.submit()

    assert_error(caller.generate(), 429, "too_many_jobs", kind="rate_limit_error")
    keyed.caller().submit()


def test_a_rate_is_counted_told_and_refused(keyed: Keyed) -> None:
    caller = keyed.caller(requests_per_minute=3)

    answers = [caller.generate({"Prefer": "respond-async"}) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert_error(answers[3], 429, "rate_limit_exceeded", kind="rate_limit_error")
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=60'
    assert answers[0].headers["ratelimit"] == '"requests";r=2;t=20'
    # What is wrong with a request is told in front of it, and costs as much as any other.
    assert caller.http.get(JOBS).status_code == 200
    assert "x-ratelimit-limit-requests" not in caller.http.get(JOBS).headers
    assert len(caller.http.get(JOBS).json()["data"]) == 3
    keyed.caller().submit()


def test_a_budget_grows_back(serve: Serve) -> None:
    keyed = Keyed(serve(api={"requests_per_minute": 600}))
    caller = keyed.caller()
    store, key = keyed.service.worker.client, keyed.service.key("rate", keyed.last_id)
    assert caller.generate({"Prefer": "respond-async"}).headers["x-ratelimit-remaining-requests"] == "599"

    # Spent down to the last: the next one is there again after a tenth of a second.
    seconds, micros = store.time()
    store.set(key, seconds * 1000 + micros // 1000 + 60_000)

    assert caller.generate().status_code == 429
    wait_until(
        lambda: caller.generate({"Prefer": "respond-async"}).status_code == 202,
        timeout_s=3,
        what="more budget",
    )


def test_a_service_that_others_reach_serves_nobody_without_a_key(serve: Serve) -> None:
    service = serve(api={"published_on": "0.0.0.0"})

    assert_error(service.caller.http.get(JOBS), 401, "invalid_api_key")
    assert Keyed(service).caller().http.get(JOBS).status_code == 200


def test_unless_it_is_told_to(serve: Serve) -> None:
    assert serve(api={"published_on": "192.0.2.1", "open": True}).caller.http.get(JOBS).status_code == 200


def used(caller: HttpCaller, **query: Any) -> dict[str, Any]:
    answer = caller.http.get("/v1/usage", params=query)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


@pytest.fixture
def worker_of(keyed: Keyed) -> Iterator[Any]:
    return keyed.service.worker


def test_usage_counts_a_picture_once_whatever_was_repeated(keyed: Keyed, worker_of: Any) -> None:
    caller = keyed.caller()
    replay = {"Idempotency-Key": "one"}
    job_id = caller.submit(replay, n=2, quality="low")
    assert caller.submit(replay, n=2, quality="low") == job_id
    lost = worker_of.take()
    worker_of.store.fail(lost, code="generation_failed", message="again", again="retry")
    attempt = worker_of.take()
    worker_of.finish(attempt)
    worker_of.store.finish(attempt, images=2, usage={"input_tokens": 99, "output_tokens": 99})  # sent twice
    cancelled = caller.submit()
    worker_of.take()
    caller.cancel(cancelled)

    total = used(caller)["total"]

    tokens = caller.result(job_id).json()["usage"]
    assert (total["jobs"], total["images"]) == (1, 2)
    assert (total["input_tokens"], total["output_tokens"]) == (
        tokens["input_tokens"],
        tokens["output_tokens"],
    )
    assert 0 <= total["device_seconds"] < 60


def test_usage_is_one_s_own_and_an_admin_sees_a_key_s(keyed: Keyed, worker_of: Any) -> None:
    caller = keyed.caller()
    caller_id = keyed.last_id
    caller.submit(model="tiny")
    worker_of.do()
    caller.submit(model="plain")
    worker_of.do()
    stranger, admin = keyed.caller(), keyed.caller(scopes=frozenset({Scope.ADMIN, Scope.READ}))

    report = used(caller)

    assert {line["model"]: line["images"] for line in report["data"]} == {"tiny": 1, "plain": 1}
    assert report["total"]["jobs"] == 2
    assert used(stranger)["total"]["jobs"] == used(admin)["total"]["jobs"] == 0
    assert used(caller, end="2020-01-01")["data"] == []
    denied = stranger.http.get("/v1/usage", params={"key_id": caller_id})
    assert_error(denied, 403, "permission_denied", param="key_id")
    assert used(admin, key_id=caller_id)["total"] == report["total"]


def test_keys_are_kept_as_digests_only(keyed: Keyed) -> None:
    new = keyed.keyholder.create("kept")
    caller = keyed.service.another_caller(new.text)
    caller.submit()

    client = keyed.service.worker.client
    kept = b"".join(client.hvals(keyed.service.key("api_keys")))
    assert secret_of(new.text).encode() not in kept
    assert caller.http.post(GENERATIONS, json={}).status_code == 422
