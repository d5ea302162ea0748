"""The service below a prefix beside another site, by nginx as docs/operations.md shows it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import Request
from openai import OpenAI
from starlette.responses import PlainTextResponse, Response

from api.http.addresses import base_of
from cli.client import Client, Connection
from cli.ports import LOOPBACK, free_port
from shared.settings import REPO_ROOT
from tests.http_caller import ASYNC, JOBS, HttpCaller, assert_error
from tests.integration.conftest import Serve, Service
from tests.proxy import needs_nginx, proxy, running
from tests.sse import streaming

pytestmark = needs_nginx

PREFIX: Final = "/darkroom"


def shown() -> str:
    """The configuration in the document."""
    text = (REPO_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


@contextmanager
def beside_a_site(folder: Path, api: str, **changes: str) -> Iterator[str]:
    """Run the shown configuration; give the address of the site.

    Args:
        folder: for its files, and the site's.
        api: the address of the API, as the proxy asks it.
        changes: what else is another here.
    """
    port, block = free_port(), shown()
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("another site")
    here = {
        "http://10.0.0.11:8000": api,
        "listen 80;": f"listen {LOOPBACK}:{port};",
        "/srv/www": f"{folder}/www",
        **changes,
    }
    for known, ours in here.items():
        assert block.count(known) == 1, known
        block = block.replace(known, ours)
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    around = f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\n{block}}}\n"
    with running(folder, around):
        yield f"http://{LOOPBACK}:{port}"


def telling(serve: Serve, **api: Any) -> Service:
    """Start a service below the prefix that also tells its own base."""
    service = serve(api={"root_path": PREFIX, **api})

    async def told(request: Request) -> Response:
        return PlainTextResponse(base_of(request))

    service.api.app.add_api_route("/told", told)
    return service


@pytest.fixture(params=["", "/"], ids=["passed on", "taken off"])
def site(serve: Serve, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Service, str]]:
    """A service, and the address of the site beside it; the proxy passes the prefix on or takes it off."""
    service = telling(serve, trusted_proxies=LOOPBACK)
    with beside_a_site(tmp_path, service.api.url + request.param) as url:
        yield service, url


def test_a_caller_finds_all_that_there_is(site: tuple[Service, str]) -> None:
    service, url = site
    with HttpCaller(url + PREFIX) as caller:
        accepted = caller.generate(ASYNC)
        location, job_id = accepted.headers["location"], accepted.json()["id"]
        assert location == f"{PREFIX}{JOBS}/{job_id}"
        assert service.worker.do() == job_id
        assert caller.http.get(url + location).json()["status"] == "succeeded"
        assert caller.http.head(f"{url}{location}/result").status_code == 200

        for path in ("/", "/docs", "/openapi.json", "/playground/style.css", "/healthz", "/readyz"):
            assert caller.http.get(path).status_code == 200, path
        assert caller.http.get(url + "/").text == "another site"
        with streaming(caller.http, "GET", f"{JOBS}/{job_id}/events") as events:
            assert events.rest()[-1].name == "end"
        assert_error(caller.http.get("/models"), 404, "not_found")


def test_an_edit_may_be_as_large_as_ever(site: tuple[Service, str]) -> None:
    """More than the one MiB that nginx takes by itself, and answered by the service."""
    _, url = site
    with HttpCaller(url + PREFIX) as caller:
        large = {"image": ("a.png", b" " * 2_000_000)}
        answer = caller.http.post("/v1/images/edits", data={"prompt": "x"}, files=large)

    assert_error(answer, 400, "invalid_image", param="image")


def test_the_official_client_draws_there(site: tuple[Service, str]) -> None:
    service, url = site
    with service.worker.serving():
        client = OpenAI(base_url=f"{url}{PREFIX}/v1", api_key="key", max_retries=0)
        assert {model.id for model in client.models.list()} == {"tiny", "plain"}
        result = client.images.generate(prompt="a tiny picture")

    assert result.data
    assert result.data[0].b64_json


def test_the_command_line_asks_there(site: tuple[Service, str]) -> None:
    service, url = site
    with Client(Connection(f"{url}{PREFIX}/v1", api_key="key")) as client:
        job_id = client.submit({"prompt": "a tiny picture"})["id"]

    assert service.worker.do() == job_id


def test_the_prefix_without_a_slash_leads_to_the_page(site: tuple[Service, str]) -> None:
    _, url = site
    with HttpCaller(url) as caller:
        answer = caller.http.get(PREFIX)
        assert answer.status_code in {301, 308}
        assert answer.headers["location"].removeprefix(url) == f"{PREFIX}/"


def test_the_base_is_the_site_s(site: tuple[Service, str]) -> None:
    _, url = site
    with HttpCaller(url) as caller:
        assert caller.http.get(f"{PREFIX}/told").text == url + PREFIX


def test_what_a_caller_says_of_the_way_here_counts_for_nothing(site: tuple[Service, str]) -> None:
    """The proxy says it in place of them."""
    _, url = site
    spoofed = {"x-forwarded-proto": "https", "x-forwarded-host": "evil.example", "x-forwarded-for": "1.2.3.4"}
    with HttpCaller(url) as caller:
        assert caller.http.get(f"{PREFIX}/told", headers=spoofed).text == url + PREFIX


@pytest.mark.parametrize(("trusted", "scheme"), [(LOOPBACK, "https"), ("", "http")])
def test_who_came_by_https_is_told_https_where_the_proxy_is_known(
    serve: Serve, tmp_path: Path, trusted: str, scheme: str
) -> None:
    service = telling(serve, trusted_proxies=trusted)
    with beside_a_site(tmp_path, service.api.url, **{"$scheme": "https"}) as url, HttpCaller(url) as caller:
        said = caller.http.get(f"{PREFIX}/told").text

    assert said == f"{scheme}://{url.removeprefix('http://')}{PREFIX}"


def test_behind_two_proxies_it_is_the_same(serve: Serve, tmp_path: Path) -> None:
    """The site's passes the prefix on to the one that is shipped, as in front of the compose stack."""
    service = telling(serve, trusted_proxies=LOOPBACK)
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    outer.mkdir()
    api = service.api.url.removeprefix("http://")
    with (
        proxy(inner, api) as port,
        beside_a_site(outer, f"http://{LOOPBACK}:{port}", **{"$scheme": "https"}) as url,
        HttpCaller(url + PREFIX) as caller,
    ):
        told = caller.http.get("/told").text
        accepted = caller.generate(ASYNC)
        service.worker.do()
        found = caller.http.get(url + accepted.headers["location"])
        large = {"image": ("a.png", b" " * 2_000_000)}
        edit = caller.http.post("/v1/images/edits", data={"prompt": "x"}, files=large)

    assert told == url.replace("http://", "https://") + PREFIX
    assert found.json()["status"] == "succeeded"
    assert_error(edit, 400, "invalid_image", param="image")
