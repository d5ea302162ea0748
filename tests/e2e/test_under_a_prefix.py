"""The page in a browser below a prefix beside another site: real processes behind the documents' nginx."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from openai import OpenAI
from playwright.sync_api import Browser, expect, sync_playwright

from cli.ports import LOOPBACK
from cli.valkey import EmbeddedServer
from tests.browser import Visitor, ask, chromium, newest
from tests.e2e.api_process import ApiProcess
from tests.e2e.pictures import files, opened
from tests.integration.test_under_a_prefix import PREFIX, beside_a_site
from tests.proxy import needs_nginx
from tests.service import RunningService
from tests.waiting import wait_until

pytestmark = needs_nginx

PATIENCE_MS: Final = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["", "/"], ids=["passed on", "taken off"])
def below(
    valkey: EmbeddedServer,
    tiny_service: RunningService,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[str]:
    """The address below which the tiny models' worker has another API in front of it."""
    folder = tmp_path_factory.mktemp("prefix")
    api = ApiProcess(
        valkey,
        folder,
        "e2e-tiny:",
        API__ROOT_PATH=PREFIX,
        API__TRUSTED_PROXIES=LOOPBACK,
        MODELS__CATALOGUE=tiny_service.environment["DARKROOM_MODELS__CATALOGUE"],
    )
    api.child.start()
    try:
        wait_until(api.alive, 120, "the API")
        with beside_a_site(folder, f"http://{LOOPBACK}:{api.port}{request.param}") as site:
            yield site + PREFIX
    finally:
        api.child.stop(5)


@pytest.fixture
def visitor(browser: Browser, below: str) -> Iterator[Visitor]:
    """Whatever the page asks for is below the prefix, or closing fails."""
    found = Visitor(browser, below, "visitor-below")
    yield found
    found.close()


def test_the_page_draws_and_what_is_copied_of_it_is_below_too(visitor: Visitor, below: str) -> None:
    visitor.page.goto(below)  # without the slash
    page = visitor.page
    assert page.url == f"{below}/"

    ask(page, "a red apple", quality="low", seed="7")
    card = newest(page)
    expect(card.locator(".picture.final img")).to_have_count(1, timeout=PATIENCE_MS)
    with page.expect_download() as caught:
        card.get_by_role("link", name="Download").first.click()
    assert opened(Path(caught.value.path()).read_bytes()).format == "PNG"
    for language, said in (("Python", f'base_url="{below}/v1"'), ("curl", f"{below}/v1/images/generations")):
        card.get_by_role("button", name=f"Copy as {language}").click()
        wait_until(lambda said=said: said in page.evaluate("navigator.clipboard.readText()"), what=said)

    page.reload()
    expect(newest(page).locator(".picture.final img")).to_have_count(1, timeout=PATIENCE_MS)


def test_the_page_follows_its_links(visitor: Visitor, below: str) -> None:
    page = visitor.page
    page.goto(f"{below}/")
    icon = page.locator("header img")
    expect(icon).to_be_visible()
    assert icon.evaluate("image => image.naturalWidth") > 0
    page.get_by_role("link", name="Operator").click()
    expect(page.locator("#operator-view")).to_contain_text("tiny")

    page.get_by_role("link", name="API", exact=True).click()

    assert page.url == f"{below}/docs"
    expect(page.locator("#swagger-ui")).to_contain_text("Create images")
    expect(page.locator("#swagger-ui .servers")).to_contain_text(PREFIX)


def test_what_the_reference_tries_out_is_asked_below_it(visitor: Visitor, below: str) -> None:
    page = visitor.page
    page.goto(f"{below}/docs")
    operation = page.locator("#operations-models-list_models_v1_models_get")
    operation.locator("button.opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()

    with page.expect_response(f"{below}/v1/models") as answered:
        operation.get_by_role("button", name="Execute").click()

    assert answered.value.status == 200


def test_the_official_client_draws_there(below: str) -> None:
    client = OpenAI(base_url=f"{below}/v1", api_key="key", max_retries=0)

    result = client.images.generate(prompt="a red apple", quality="low")

    (file,) = files(result)
    assert opened(file).format == "PNG"
