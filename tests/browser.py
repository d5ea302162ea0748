"""The browser of this machine, its visitors, and what a reader of screens would find wrong with a page."""

import os
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    JSHandle,
    Locator,
    Page,
    Playwright,
    Request,
)

# What pages looked like in the tests is kept here.
SHOTS: Final = Path(os.environ.get("DARKROOM_SCREENSHOTS", ".darkroom/screenshots"))
# A picture of the shipped model takes seconds on a CPU, and several wait for each other.
PATIENCE_MS: Final = 180_000
PHONE: Final = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# As root without a sandbox, and without anything that a browser does by itself.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
RULES = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
}


def chromium(playwright: Playwright) -> Browser:
    """Start the browser, or skip where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return playwright.chromium.launch(executable_path=path, args=list(FLAGS))


def accessibility_problems(page: Page) -> list[str]:
    """Return what axe finds against WCAG A and AA, one line a rule."""
    violations = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {[node['html'][:120] for node in each['nodes'][:3]]}"
        for each in violations
    ]


class Visitor:
    """One browser profile, which notes what a page must not do."""

    def __init__(self, browser: Browser, url: str, project: str = "", **look: Any) -> None:
        self.url = url
        # Each an owner of its own, whose gallery begins empty.
        owner = {"OpenAI-Project": project} if project else {}
        self.context: BrowserContext = browser.new_context(base_url=url, extra_http_headers=owner, **look)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.context.on("console", self._listen)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("request", self._note)
        self.page = self.context.new_page()

    def open(self, view: str = "") -> Page:
        self.page.goto(f"/{view}")
        return self.page

    def shoot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def _listen(self, message: ConsoleMessage) -> None:
        # The browser itself writes a line for each answer of 400 and above; the page shows those in words.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _note(self, request: Request) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.strangers.append(request.url)

    def close(self) -> None:
        """Leave; nothing may have been complained of, and nothing asked for elsewhere."""
        self.context.close()
        assert self.complaints == []
        assert self.strangers == []


def ask(page: Page, prompt: str = "a red apple", **options: str) -> None:
    """Fill the composer and draw."""
    page.get_by_label("What should be drawn?").fill(prompt)
    if options:
        page.locator("#more").evaluate("element => element.open = true")
    for name, value in options.items():
        field = page.locator(f"#{name}")
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Draw").click()


def newest(page: Page) -> Locator:
    """The card of the newest job."""
    return page.locator(".job").first


def drop(page: Page, **files: bytes) -> None:
    """Drop files on the page, as from a folder: what is in them by their names, an underscore for the dot."""
    brought = drag(page, **files)
    page.dispatch_event("#prompt", "drop", {"dataTransfer": brought})


def drag(page: Page, **files: bytes) -> JSHandle:
    """Drag files over the page, and return what is dragged."""
    named = {name.replace("_", "."): list(file) for name, file in files.items()}
    brought = page.evaluate_handle(
        """files => {
          const types = { png: "image/png", jpg: "image/jpeg", webp: "image/webp", gif: "image/gif" };
          const brought = new DataTransfer();
          for (const [name, bytes] of Object.entries(files)) {
            const type = types[name.split(".").at(-1)] ?? "";
            brought.items.add(new File([new Uint8Array(bytes)], name, { type }));
          }
          return brought;
        }""",
        named,
    )
    for event in ("dragenter", "dragover"):
        page.dispatch_event("#prompt", event, {"dataTransfer": brought})
    return brought


def paint(page: Page, *places: tuple[float, float]) -> None:
    """Draw with the mouse in the painter, through places in parts of the picture's width and height."""
    box = page.locator("#painter-canvas").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points:
        page.mouse.move(*point, steps=5)
    page.mouse.up()
