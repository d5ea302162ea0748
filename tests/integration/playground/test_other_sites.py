"""A page of another site in a real browser: what it may ask and read of the service, and what it may not."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page
from typing_extensions import override

from cli.ports import LOOPBACK
from tests.integration.conftest import Serve, Service

# As the official client for JavaScript asks from a page, with the headers that it sends.
ASK: Final = """async ({ url, headers, body }) => {
  const common = {
    "accept": "application/json", "authorization": "Bearer key", "openai-project": "studio",
    "x-stainless-lang": "js", "x-stainless-runtime": "browser:chrome", "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600", "idempotency-key": crypto.randomUUID(),
  };
  try {
    const answer = await fetch(url, {
      method: body ? "POST" : "GET",
      headers: { ...common, ...(body ? { "content-type": "application/json" } : {}), ...headers },
      body: body ? JSON.stringify(body) : undefined,
    });
    return {
      status: answer.status, json: await answer.json(),
      headers: Object.fromEntries(["x-job-id", "x-request-id", "x-seeds", "location"].map(
        (name) => [name, answer.headers.get(name)])),
    };
  } catch (error) {
    return { status: 0, said: String(error) };
  }
}"""
STREAM: Final = """async ({ url, body }) => {
  const headers = { "authorization": "Bearer key", "content-type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  return answer.text();
}"""


class _Empty(BaseHTTPRequestHandler):
    """A site with one page and nothing on it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another site</title>")

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def site() -> Iterator[str]:
    server = ThreadingHTTPServer((LOOPBACK, 0), _Empty)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def studio() -> Iterator[str]:
    """The site whose pages may ask."""
    with site() as url:
        yield url


@pytest.fixture
def service(serve: Serve, studio: str) -> Service:
    return serve(api={"cors_origins": studio})


@contextmanager
def at(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def ask(page: Page, service: Service, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return page.evaluate(ASK, {"url": service.api.url + path, "headers": named, "body": body})


PROMPT: Final = {"prompt": "a tiny picture"}


def test_a_page_that_may_ask_draws_and_reads_it_all(browser: Browser, service: Service, studio: str) -> None:
    with at(browser, studio) as page, service.worker.serving():
        drawn = ask(page, service, "/v1/images/generations", PROMPT)
        later = ask(page, service, "/v1/images/generations", PROMPT, prefer="respond-async")
        job = ask(page, service, later["headers"]["location"])
        streamed = page.evaluate(
            STREAM, {"url": f"{service.api.url}/v1/images/generations", "body": {**PROMPT, "stream": True}}
        )

    assert drawn["status"] == 200
    assert drawn["json"]["data"][0]["b64_json"]
    assert drawn["headers"]["x-job-id"]
    assert drawn["headers"]["x-seeds"]
    assert (later["status"], job["json"]["id"]) == (202, later["headers"]["x-job-id"])
    assert "event: image_generation.completed" in streamed


def test_it_reads_why_it_was_refused(browser: Browser, service: Service, studio: str) -> None:
    with at(browser, studio) as page:
        unread = ask(page, service, "/v1/images/generations", {"prompt": 7})
        missing = ask(page, service, "/nowhere")

    assert (unread["status"], unread["json"]["error"]["param"]) == (422, "prompt")
    assert (missing["status"], missing["json"]["error"]["code"]) == (404, "not_found")
    assert missing["headers"]["x-request-id"]


def test_a_page_of_any_other_site_reads_nothing_and_makes_no_job(browser: Browser, service: Service) -> None:
    with site() as elsewhere, at(browser, elsewhere) as page:
        drawn = ask(page, service, "/v1/images/generations", PROMPT)
        listed = ask(page, service, "/v1/models")

    assert (drawn["status"], listed["status"]) == (0, 0)
    assert "Failed to fetch" in drawn["said"]
    assert service.caller.http.get("/v1/usage").json()["total"]["jobs"] == 0


@pytest.mark.parametrize("path", ["/playground/icon.svg", "/v1/models", "/"])
def test_no_page_of_another_site_embeds_anything(
    browser: Browser, service: Service, studio: str, path: str
) -> None:
    """Not one that may ask either: what is embedded, no script has asked for."""
    with at(browser, studio) as page:
        said = page.evaluate(
            "url => fetch(url, { mode: 'no-cors' }).then(() => 'embedded', (error) => String(error))",
            service.api.url + path,
        )

    assert "Failed to fetch" in said
