"""A browser, and visitors of a service whose worker the test plays: no picture has to be waited for."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser import Visitor, chromium
from tests.integration.conftest import Service

Visit = Callable[..., Visitor]


# Not of the session: while Playwright runs, no other test can run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    """Open the playground as a new visitor: every test's store is its own, and so is every gallery."""
    visitors: list[Visitor] = []

    def come(**look: Any) -> Visitor:
        visitors.append(Visitor(browser, service.api.url, **look))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.close()
