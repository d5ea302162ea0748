"""Every route of the application against everybody who must not use it.

The routes are those of the router itself: one without a row here fails the first test.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from starlette.routing import BaseRoute

from cli.keyholder import Keyholder
from shared.api_keys import Scope
from tests.http_caller import ASYNC, GENERATIONS, JOBS, HttpCaller, Response, assert_error
from tests.integration.api.test_owners import everything
from tests.integration.conftest import Serve, Service
from tests.odd_pictures import plain

EDITS: Final = "/v1/images/edits"
FILES: Final = "/v1/files"
BATCHES: Final = "/v1/batches"
NOBODY: Final = "0" * 32
NO_KEYS: Final = {
    "none": "",
    "another service's": "sk-anything",
    "one that was never made": "dk_0123456789abcdef_" + "x" * 43,
}
ALL: Final = frozenset(Scope)
Ask = Callable[[HttpCaller, str], Response]


@dataclass(frozen=True)
class Row:
    """How a route is asked, with a job's id, and the scopes of which any opens it; None: no key needed.

    ``opened`` is the status that whoever may ask is answered with.
    """

    ask: Ask
    scopes: frozenset[Scope] | None
    of_a_job: bool = False
    opened: int = 200


def _get(path: str, *scopes: Scope, of_a_job: bool = False) -> Row:
    may, opened = frozenset(scopes) or None, 404 if of_a_job else 200
    return Row(lambda caller, job_id: caller.http.get(path.format(job_id=job_id)), may, of_a_job, opened)


def _of_files(method: str, path: str, scope: Scope, **more: Any) -> Row:
    """A route of files or batches; this service has no place for them."""
    return Row(lambda caller, _: caller.http.request(method, path, **more), frozenset({scope}), opened=400)


BATCH: Final = {"endpoint": GENERATIONS, "completion_window": "24h", "input_file_id": "any"}


ROWS: Final[dict[tuple[str, str], Row]] = {
    ("POST", GENERATIONS): Row(
        lambda caller, _: caller.generate(ASYNC), frozenset({Scope.GENERATE}), opened=202
    ),
    ("POST", EDITS): Row(
        lambda caller, _: caller.http.post(
            EDITS, data={"prompt": "x"}, files={"image": ("a.png", plain())}, headers=ASYNC
        ),
        frozenset({Scope.GENERATE}),
        opened=202,
    ),
    ("GET", JOBS): _get(JOBS, Scope.READ),
    ("GET", JOBS + "/{job_id}"): _get(JOBS + "/{job_id}", Scope.READ, of_a_job=True),
    ("GET", JOBS + "/{job_id}/result"): _get(JOBS + "/{job_id}/result", Scope.READ, of_a_job=True),
    ("GET", JOBS + "/{job_id}/events"): _get(JOBS + "/{job_id}/events", Scope.READ, of_a_job=True),
    ("DELETE", JOBS + "/{job_id}"): Row(
        HttpCaller.cancel, frozenset({Scope.GENERATE}), of_a_job=True, opened=404
    ),
    ("POST", FILES): _of_files("POST", FILES, Scope.GENERATE, files={"file": ("a", b"{}")}),
    ("GET", FILES): _of_files("GET", FILES, Scope.READ),
    ("GET", FILES + "/{file_id}"): _of_files("GET", FILES + "/any", Scope.READ),
    ("GET", FILES + "/{file_id}/content"): _of_files("GET", FILES + "/any/content", Scope.READ),
    ("DELETE", FILES + "/{file_id}"): _of_files("DELETE", FILES + "/any", Scope.GENERATE),
    ("POST", BATCHES): _of_files("POST", BATCHES, Scope.GENERATE, json=BATCH),
    ("GET", BATCHES): _of_files("GET", BATCHES, Scope.READ),
    ("GET", BATCHES + "/{batch_id}"): _of_files("GET", BATCHES + "/any", Scope.READ),
    ("POST", BATCHES + "/{batch_id}/cancel"): _of_files("POST", BATCHES + "/any/cancel", Scope.GENERATE),
    ("GET", "/v1/models"): _get("/v1/models", *ALL),
    ("GET", "/v1/models/{name:path}"): _get("/v1/models/tiny", *ALL),
    ("GET", "/v1/usage"): _get("/v1/usage", Scope.READ),
    ("GET", "/v1/operator"): _get("/v1/operator", Scope.ADMIN),
    ("GET", "/metrics"): _get("/metrics", Scope.ADMIN),
    # Whose address it is decides, and not who asks.
    ("GET", "/files/{name:path}"): Row(lambda caller, _: caller.http.get("/files/a.png"), None, opened=403),
    ("GET", "/healthz"): _get("/healthz"),
    ("GET", "/readyz"): _get("/readyz"),
    ("GET", "/openapi.json"): _get("/openapi.json"),
    ("GET", "/docs"): _get("/docs"),
    ("GET", "/"): _get("/"),
    ("GET", "/playground"): _get("/playground/style.css"),
    ("GET", "/static-offline-docs"): _get("/static-offline-docs/swagger-ui.css"),
}
PUBLIC: Final = [route for route, row in ROWS.items() if row.scopes is None]
GUARDED: Final = [route for route, row in ROWS.items() if row.scopes is not None]
OF_A_JOB: Final = [route for route, row in ROWS.items() if row.of_a_job]


class Keyed:
    """A service with API keys, and its state."""

    def __init__(self, service: Service) -> None:
        settings = service.api.settings
        self.service = service
        self._keyholder = Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode())
        self.owner = self.caller()

    def text(self, scopes: frozenset[Scope] = ALL) -> str:
        """A new key."""
        return self._keyholder.create("a test's", scopes=scopes).text

    def caller(self, scopes: frozenset[Scope] = ALL) -> HttpCaller:
        return self.service.another_caller(self.text(scopes))

    def state(self) -> list[str]:
        """Everything that is kept but the keys."""
        kept = everything(self.service.worker.client, self.service.key("*"))
        return sorted(line for line in kept if ":api_keys" not in line.split(" ")[0])

    def begin(self) -> None:
        """Forget every job, and say that a worker is there."""
        client = self.service.worker.client
        names = [name for name in client.scan_iter(self.service.key("*")) if not name.endswith(b":api_keys")]
        client.delete(*names)
        self.service.worker.beat()


@pytest.fixture(scope="module")
def keyed_service(serve_module: Serve) -> Keyed:
    return Keyed(serve_module())


@pytest.fixture
def keyed(keyed_service: Keyed) -> Keyed:
    keyed_service.begin()
    return keyed_service


def routes_of(routes: list[Any]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, "original_router"):
            yield from routes_of(route.original_router.routes)
        else:
            for method in getattr(route, "methods", None) or {"GET"}:
                yield method, route.path


def test_every_route_has_a_row(keyed: Keyed) -> None:
    routes: list[BaseRoute] = keyed.service.api.app.routes

    assert {route for route in routes_of(routes) if route[0] != "HEAD"} == set(ROWS)


@pytest.mark.parametrize("route", PUBLIC, ids=" ".join)
def test_what_needs_no_key_is_the_same_for_all(keyed: Keyed, route: tuple[str, str]) -> None:
    for text in NO_KEYS.values():
        assert ROWS[route].ask(keyed.service.another_caller(text), NOBODY).status_code == ROWS[route].opened


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS)
def test_nobody_is_served_without_a_key_and_nothing_changes(
    keyed: Keyed, route: tuple[str, str], text: str
) -> None:
    job_id = keyed.owner.submit()
    before = keyed.state()

    answer = ROWS[route].ask(keyed.service.another_caller(text), job_id)

    assert_error(answer, 401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert keyed.state() == before


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
def test_a_key_opens_what_its_scope_says_and_nothing_changes_where_it_does_not(
    keyed: Keyed, route: tuple[str, str]
) -> None:
    row = ROWS[route]
    assert row.scopes
    for scope in Scope:
        before = keyed.state()

        answer = row.ask(keyed.caller(frozenset({scope})), NOBODY)

        if scope in row.scopes:
            assert answer.status_code == row.opened
        else:
            assert_error(answer, 403, "permission_denied")
            assert keyed.state() == before


@pytest.mark.parametrize("status", ["queued", "running", "succeeded", "failed"])
@pytest.mark.parametrize("route", OF_A_JOB, ids=" ".join)
def test_anothers_job_is_a_404_to_every_key_and_stays_as_it_is(
    keyed: Keyed, route: tuple[str, str], status: str
) -> None:
    job_id = keyed.owner.submit()
    if status != "queued":
        attempt = keyed.service.worker.take()
        if status == "succeeded":
            keyed.service.worker.finish(attempt)
        elif status == "failed":
            keyed.service.worker.fail(attempt)
    before = keyed.state()
    stranger = keyed.caller()

    answer = ROWS[route].ask(stranger, job_id)

    assert_error(answer, 404, "job_not_found")
    assert answer.content == ROWS[route].ask(stranger, NOBODY).content
    assert keyed.state() == before
    assert keyed.owner.job(job_id)["status"] == status


def test_anothers_jobs_are_in_no_list_and_no_usage(keyed: Keyed) -> None:
    job_id = keyed.owner.submit()
    keyed.service.worker.do()
    stranger = keyed.caller()

    assert stranger.http.get(JOBS).json()["data"] == []
    after = stranger.http.get(JOBS, params={"after": job_id})
    assert_error(after, 404, "job_not_found", param="after")
    assert stranger.http.get("/v1/usage").json()["total"]["jobs"] == 0
    assert keyed.owner.http.get("/v1/usage").json()["total"]["jobs"] == 1


@pytest.mark.parametrize("header", ["Idempotency-Key", "x-stainless-retry-count"])
@pytest.mark.parametrize("ended", [False, True], ids=["waiting", "ended"])
def test_anothers_call_is_never_replayed_and_never_attached_to(
    keyed: Keyed, header: str, ended: bool
) -> None:
    same = {header: "1"}
    job_id = keyed.owner.submit(same)
    if ended:
        keyed.service.worker.do()
    stranger = keyed.caller()

    theirs = stranger.submit(same)

    assert theirs != job_id
    assert [job["id"] for job in stranger.http.get(JOBS).json()["data"]] == [theirs]
    assert [job["id"] for job in keyed.owner.http.get(JOBS).json()["data"]] == [job_id]
    if header == "Idempotency-Key":
        # Nor does it tell that somebody used it with another body.
        assert stranger.generate({header: "2", **ASYNC}, prompt="one").status_code == 202
        assert keyed.owner.generate({header: "2", **ASYNC}, prompt="another").status_code == 202


def test_a_key_s_organization_and_project_are_part_of_the_owner(keyed: Keyed) -> None:
    service, text = keyed.service, keyed.text()
    one = service.another_caller(text, OpenAI_Organization="org-one", OpenAI_Project="proj")
    same = {"Idempotency-Key": "1"}
    job_id = one.submit(same)

    for headers in ({"OpenAI_Organization": "org-two", "OpenAI_Project": "proj"}, {"OpenAI_Project": "proj"}):
        other = service.another_caller(text, **headers)
        for route in OF_A_JOB:
            assert_error(ROWS[route].ask(other, job_id), 404, "job_not_found")
        assert other.submit(same) != job_id
    assert one.job(job_id)["status"] == "queued"


def test_a_stream_s_place_of_another_job_shows_nothing_of_it(keyed: Keyed) -> None:
    theirs, mine = keyed.owner, keyed.caller()
    other_id, own_id = theirs.submit(prompt="theirs"), mine.submit(prompt="mine")
    for _ in range(2):
        keyed.service.worker.do()
    place = theirs.http.get(f"{JOBS}/{other_id}/events").text.split("id: ")[-1].split("\n")[0]

    answer = mine.http.get(f"{JOBS}/{own_id}/events", headers={"Last-Event-ID": place})

    assert answer.status_code == 200
    assert other_id not in answer.text
