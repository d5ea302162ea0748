"""Headers that come twice, and scopes: what they say counts once."""

import pytest

from cli.keyholder import Keyholder
from shared.api_keys import Scope
from tests.http_caller import GENERATIONS, JOBS, assert_error
from tests.integration.conftest import Service

TWICE = [("x-on-disconnect", "grace"), ("x-on-disconnect", "grace")]


@pytest.mark.parametrize(("fields", "status"), [({}, 202), ({"n": 0}, 422), ({"model": "none"}, 404)])
def test_what_is_said_twice_and_is_the_same_changes_nothing(
    service: Service, fields: dict[str, object], status: int
) -> None:
    body = {"prompt": "a tiny picture", **fields}
    once, twice = (
        service.caller.http.post(GENERATIONS, json=body, headers=[("Prefer", "respond-async"), *more])
        for more in ([], TWICE)
    )

    assert once.status_code == twice.status_code == status
    assert once.headers.keys() == twice.headers.keys()
    if status == 202:
        assert once.json().keys() == twice.json().keys()
    else:
        assert once.json() == twice.json()


def test_what_is_preferred_in_two_headers_counts_like_one(service: Service) -> None:
    twice = [("Prefer", "respond-async"), ("Prefer", "wait=1")]

    answer = service.caller.http.post(GENERATIONS, json={"prompt": "a tiny picture"}, headers=twice)

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async, wait=1")


def test_a_job_is_shown_to_a_key_that_may_read_and_to_no_other(service: Service) -> None:
    settings = service.api.settings
    keyholder = Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode())
    owner = keyholder.create("one", scopes=frozenset({Scope.GENERATE}))

    with service.another_caller(owner.text) as caller:
        answer = caller.http.get(f"{JOBS}/{caller.submit()}")

    assert_error(answer, 403, "permission_denied")
