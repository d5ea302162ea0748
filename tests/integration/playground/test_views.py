"""The playground for everybody: keys, the operator's view, small screens, both colour schemes."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from cli.keyholder import Keyholder
from tests.browser import PHONE, accessibility_problems, ask, newest
from tests.integration.conftest import Service
from tests.integration.playground.conftest import Visit

RUNS_AS = {
    "text": {"modes": ["graph"], "images": 8},
    "denoise": {"modes": [], "images": 4},
    "decode": {"modes": ["contiguous", "compile"], "images": 2},
}
LOOKS = [
    pytest.param({**screen, "color_scheme": scheme}, id=f"{name}-{scheme}")
    for name, screen in (("desk", {}), ("phone", PHONE))
    for scheme in ("light", "dark")
]


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def keys_of(service: Service) -> Keyholder:
    settings = service.api.settings
    return Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode())


def test_a_service_with_keys_asks_for_one_and_keeps_it_in_the_tab(visit: Visit, service: Service) -> None:
    key = keys_of(service).create("the page's").text
    visitor = visit()
    page = visitor.open()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(page.locator("#service")).to_have_text("Needs a key")

    page.get_by_label("Key", exact=True).fill("dk_wrong")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#key-problem")).to_have_text("The service does not take this key.")
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()

    expect(dialog).to_be_hidden()
    expect(page.locator("#service")).to_have_text("Ready")
    ask(page, "a tiny picture")
    expect(newest(page)).to_contain_text("a tiny picture")
    page.reload()
    expect(newest(page)).to_contain_text("a tiny picture")
    expect(dialog).to_be_hidden()
    assert key not in str(page.evaluate("JSON.stringify(localStorage)"))
    another_tab = visitor.context.new_page()
    another_tab.goto("/")
    expect(another_tab.get_by_role("dialog")).to_be_visible()


def test_a_key_without_the_scope_sees_no_operators_view(visit: Visit, service: Service) -> None:
    key = keys_of(service).create("a caller's").text
    page = visit().open("#operator")
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()

    expect(page.locator("#operator-problem")).to_have_text("This API key may not do that.")


@pytest.mark.slow
def test_the_operators_view_is_live(visit: Visit, service: Service) -> None:
    page = visit().open("#operator")
    tiles = page.locator("#tiles div")
    expect(tiles.nth(0)).to_contain_text("0")

    service.caller.submit()
    service.caller.submit()
    expect(tiles.nth(0)).to_contain_text("2")
    attempt = service.worker.take()
    expect(tiles.nth(0)).to_contain_text("1")
    expect(tiles.nth(1)).to_contain_text("1")
    service.worker.fail(attempt)

    service.worker.beat()
    expect(tiles.nth(4)).to_contain_text("1")
    expect(page.locator("#errors")).to_contain_text("generation_failed")
    expect(page.locator("#queues")).to_contain_text("tiny")
    service.worker.beat()
    expect(page.locator("#workers")).to_contain_text("played")


def test_the_operators_view_says_how_models_run(visit: Visit, service: Service) -> None:
    page = visit().open("#operator")
    modes = page.locator("#modes tbody tr")
    expect(modes).to_have_text("None")

    service.worker.beat(runs_as={"tiny": RUNS_AS})
    expect(modes.locator("td")).to_have_text(
        ["tiny", "graph; 8 together", "plain; 4 together", "contiguous, compile; 2 together", "played"]
    )


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.slow
def test_every_view_fits_and_can_be_used_by_everybody(
    visit: Visit, service: Service, look: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    visitor = visit(reduced_motion="reduce", **look)
    page = visitor.open()
    name = request.node.callspec.id
    expect(page.locator("#service")).to_have_text("Ready")
    assert accessibility_problems(page) == []
    visitor.shoot(f"empty-{name}")

    ask(page, "a" * 300)
    service.worker.take()
    ask(page, "the next one", negative_prompt="b" * 300)
    expect(page.locator(".job")).to_have_count(2)
    assert accessibility_problems(page) == []
    assert fits(page)
    visitor.shoot(f"waiting-{name}")

    page.get_by_role("button", name="API key").click()
    assert accessibility_problems(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Operator").click()
    service.worker.beat(runs_as={"tiny": RUNS_AS})
    expect(page.locator("#workers")).to_contain_text("played")
    expect(page.locator("#modes")).to_contain_text("graph")
    assert accessibility_problems(page) == []
    assert fits(page)
    visitor.shoot(f"operator-{name}")
