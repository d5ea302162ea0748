"""The playground in a real browser, against the real service."""

import base64
import io
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    Page,
    Route,
    expect,
    sync_playwright,
)

from tests.browser import PHONE, SHOTS, Visitor, accessibility_problems, ask, chromium, newest, paint
from tests.service import RunningService

PROMPT: Final = "a red apple"
# A picture of the shipped model takes seconds on a CPU, and several wait for each other.
PATIENCE_MS: Final = 180_000
# With a brush of 14 hundredths of a picture: from about a half on to the right, in lines that overlap.
EVERYWHERE_BUT_LEFT: Final = tuple(
    (x, (row + 0.5) / 10) for row in range(10) for x in ((0.95, 0.5) if row % 2 else (0.5, 0.95))
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


Visit = Callable[..., Visitor]


@contextmanager
def visiting(browser: Browser, url: str) -> Iterator[Visit]:
    """Open the playground as a new visitor. In the end no page may have complained or gone elsewhere."""
    visitors: list[Visitor] = []

    def come(project: str = "", **look: Any) -> Visitor:
        project = project or f"visitor-{secrets.token_hex(4)}"
        visitors.append(Visitor(browser, url, project, **look))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def visit(browser: Browser, glyph_service: RunningService) -> Iterator[Visit]:
    """Visitors of the shipped model, which takes long enough to be watched."""
    with visiting(browser, glyph_service.url) as come:
        yield come


@pytest.fixture
def visit_tiny(browser: Browser, tiny_service: RunningService) -> Iterator[Visit]:
    """Visitors of a service that draws in hundredths of a second."""
    with visiting(browser, tiny_service.url) as come:
        yield come


def finished(page: Page, pictures: int = 1) -> Any:
    """Wait until the newest job has its pictures; return its card."""
    card = newest(page)
    expect(card.locator(".picture.final img:not(.before)")).to_have_count(pictures, timeout=PATIENCE_MS)
    return card


def download(card: Any) -> bytes:
    with card.page.expect_download() as caught:
        card.get_by_role("link", name="Download").first.click()
    return Path(caught.value.path()).read_bytes()


@pytest.mark.slow
def test_a_picture_with_previews_and_a_step_bar(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open()
    page.evaluate(
        """() => {
          window.seen = { states: new Set(), previews: 0, bar: new Set() };
          new MutationObserver(() => {
            const card = document.querySelector(".job");
            if (!card) return;
            seen.states.add(card.querySelector(".state").textContent);
            if (card.querySelector(".picture.preview img")) seen.previews += 1;
            seen.bar.add(card.querySelector("progress").value);
          }).observe(document.getElementById("jobs"), { subtree: true, childList: true, characterData: true,
            attributes: true });
        }"""
    )

    ask(page, PROMPT)
    card = finished(page)

    file = download(card)
    assert Image.open(io.BytesIO(file)).size == (512, 512)
    assert page.evaluate("seen.previews") > 0
    assert page.evaluate("[...seen.states].some(words => /step \\d+ of 16/.test(words))")
    assert len(page.evaluate("[...seen.bar]")) > 3
    expect(card.locator(".state")).to_contain_text("Done in")
    visitor.shoot("picture")


@pytest.mark.slow
def test_a_result_is_painted_over_and_only_that_is_drawn_anew(visit: Visit) -> None:
    visitor = visit(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = visitor.open()
    ask(page, PROMPT, seed="7")
    before = Image.open(io.BytesIO(download(finished(page)))).convert("RGB")

    newest(page).get_by_role("button", name="Use as input").click()
    page.get_by_role("button", name="Paint a mask").click()
    paint(page, *EVERYWHERE_BUT_LEFT)
    visitor.shoot("edit-paint")
    page.get_by_role("button", name="Done").click()
    ask(page, "a blue apple", seed="8")
    expect(page.locator(".job")).to_have_count(2)
    after = Image.open(io.BytesIO(download(finished(page)))).convert("RGB")

    left, right = (0, 0, 150, 512), (256, 0, 512, 512)
    assert after.crop(left).tobytes() == before.crop(left).tobytes()
    assert after.crop(right).tobytes() != before.crop(right).tobytes()
    expect(newest(page).get_by_role("slider", name="Before and after")).to_be_visible()
    page.locator("#more").evaluate("element => element.open = false")
    page.locator("#composer").evaluate("element => { element.scrollTop = 0; }")
    visitor.shoot("edit")


@pytest.mark.slow
def test_several_at_once_with_their_places_and_a_cancel(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open()

    for prompt in ("a blue car", "a green tree", "a yellow star"):
        ask(page, prompt, quality="high")
        expect(newest(page)).to_contain_text(prompt)
    expect(newest(page).locator(".state")).to_contain_text("ahead of it")
    visitor.shoot("queue")

    cards = page.locator(".job")
    newest(page).get_by_role("button", name="Cancel").click()
    expect(newest(page).locator(".state")).to_have_text("Cancelled.")
    expect(cards.nth(2).locator(".state")).to_contain_text("Drawing", timeout=PATIENCE_MS)
    cards.nth(2).get_by_role("button", name="Cancel").click()
    expect(cards.nth(2).locator(".state")).to_have_text("Cancelled.")
    cards.nth(1).get_by_role("button", name="Cancel").click()
    expect(cards.nth(1).locator(".state")).to_have_text("Cancelled.")
    assert page.locator(".picture.final").count() == 0


def test_the_gallery_survives_a_reload_and_the_same_seed_draws_the_same(
    visit_tiny: Visit, tiny_service: RunningService
) -> None:
    visitor = visit_tiny()
    page = visitor.open()
    ask(page, PROMPT, quality="low", seed="7")
    file = download(finished(page))

    page.reload()
    card = finished(page)

    expect(card).to_contain_text(PROMPT)
    assert download(card) == file
    card.get_by_role("button", name="Again").click()
    expect(page.locator(f'.job:has-text("{PROMPT}")').first.locator(".facts")).to_contain_text("seed 7")
    expect(page.get_by_label("Seed")).to_have_value("7")
    assert download(finished(page)) == file
    assert copied_program_draws(finished(page), tiny_service.url) == file


def copied_program_draws(card: Any, url: str) -> bytes:
    """Run what "Copy as Python" gives, as its user would, and return its picture."""
    card.get_by_role("button", name="Copy as Python").click()
    expect(card.get_by_role("button", name="Copied")).to_be_visible()
    program = card.page.evaluate("navigator.clipboard.readText()")
    assert url in program
    folder = SHOTS.parent / "copied"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, timeout=180)
    return (folder / "picture-0.png").read_bytes()


def test_what_is_copied_of_an_edit_makes_the_same_edit(visit_tiny: Visit, tmp_path: Path) -> None:
    """The files that it names lie where it runs: the picture, and the mask as the page saves it."""
    name = 'it\'s "a" photo.png'
    photo = tmp_path / name
    Image.new("RGB", (64, 64), "teal").save(photo)
    page = visit_tiny().open()
    page.locator("#files").set_input_files(photo)
    page.get_by_role("button", name="Paint a mask").click()
    paint(page, (0.3, 0.5), (0.7, 0.5))
    with page.expect_download() as caught:
        page.get_by_role("button", name="Save mask").click()
    assert caught.value.suggested_filename == "mask.png"
    caught.value.save_as(tmp_path / "mask.png")
    page.get_by_role("button", name="Done").click()
    page.get_by_label("How much is redrawn").fill("0.5")
    ask(page, '@it\'s a \u2066"red"\u2069 apple', quality="low", style="natural", seed="7")
    expect(newest(page)).to_contain_text("50 % redrawn")
    drawn = pixels(download(finished(page)))

    program, command = (copied(finished(page), language) for language in ("Python", "curl"))
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=180)
    answer = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, check=True, timeout=180, capture_output=True, text=True
    )

    assert command.isascii()
    assert pixels((tmp_path / "picture-0.png").read_bytes()) == drawn
    assert pixels(base64.b64decode(json.loads(answer.stdout)["data"][0]["b64_json"])) == drawn


def pixels(file: bytes) -> bytes:
    return Image.open(io.BytesIO(file)).convert("RGBA").tobytes()


def copied(card: Any, language: str) -> str:
    button = card.get_by_role("button", name=f"Copy as {language}")
    button.click()
    expect(card.get_by_role("button", name="Copied")).to_be_visible()
    expect(button).to_be_visible()
    return str(card.page.evaluate("navigator.clipboard.readText()"))


def test_copy_as_curl_runs_in_a_shell(visit_tiny: Visit, tmp_path: Path) -> None:
    page = visit_tiny().open()
    ask(page, 'it\'s a "red" apple', quality="low")
    card = finished(page)

    card.get_by_role("button", name="Copy as curl").click()
    expect(card.get_by_role("button", name="Copied")).to_be_visible()
    command = page.evaluate("navigator.clipboard.readText()")

    answer = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, check=True, timeout=180, capture_output=True, text=True
    )
    assert '"b64_json"' in answer.stdout


def test_a_checkerboard_behind_transparency_and_two_pictures(visit_tiny: Visit) -> None:
    visitor = visit_tiny()
    page = visitor.open()

    ask(page, PROMPT, background="transparent", n="2", quality="low", output_format="webp")
    card = finished(page, 2)

    picture = Image.open(io.BytesIO(download(card)))
    assert (picture.format, picture.mode) == ("WEBP", "RGBA")
    background = card.locator(".picture").first.evaluate(
        "element => getComputedStyle(element).backgroundImage"
    )
    assert "conic-gradient" in background
    visitor.shoot("transparent")


def test_what_is_wrong_is_said_at_its_field(visit_tiny: Visit) -> None:
    visitor = visit_tiny()
    page = visitor.open()

    ask(page, PROMPT, size="70x70")

    expect(page.locator("#size-problem")).to_contain_text("multiples of 8")
    expect(page.get_by_label("Size")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Size")).to_be_focused()
    ask(page, PROMPT, size="auto", background="transparent", output_format="jpeg")
    expect(page.locator("#background-problem")).to_contain_text("jpeg")
    expect(page.locator("#size-problem")).to_be_empty()
    page.get_by_label("What should be drawn?").fill("")
    page.get_by_role("button", name="Draw").click()
    expect(page.locator("#prompt-problem")).not_to_be_empty()
    visitor.shoot("problem")


def test_a_cut_stream_goes_on(visit_tiny: Visit) -> None:
    page = visit_tiny().open()
    cuts: list[str] = []

    def cut(route: Route) -> None:
        if len(cuts) < 2:
            cuts.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/events", cut)

    ask(page, PROMPT, quality="low")

    finished(page)
    assert len(cuts) == 2


@pytest.mark.slow
def test_by_keyboard_alone(visit: Visit) -> None:
    page = visit().open()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the prompt")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("a small house")
    page.keyboard.press("Control+Enter")
    expect(newest(page)).to_contain_text("a small house")

    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Cancel":
            break
    page.keyboard.press("Enter")

    expect(newest(page).locator(".state")).to_have_text("Cancelled.")


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("light", {"color_scheme": "light"}),
        pytest.param("dark", {"color_scheme": "dark"}, marks=pytest.mark.slow),
        pytest.param("phone", {**PHONE, "color_scheme": "light"}, marks=pytest.mark.slow),
        ("phone-dark", {**PHONE, "color_scheme": "dark"}),
    ],
)
def test_everybody_can_use_it(visit_tiny: Visit, name: str, look: dict[str, Any]) -> None:
    visitor = visit_tiny("one-for-all-looks", reduced_motion="reduce", **look)
    page = visitor.open()
    ask(page, PROMPT, quality="low", background="transparent")
    finished(page)
    page.locator("#more").evaluate("element => element.open = true")

    assert accessibility_problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visitor.shoot(name)


@pytest.mark.slow
def test_the_operators_view(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open()
    ask(page, PROMPT, quality="high")
    page.get_by_role("link", name="Operator").click()

    expect(page.locator("#queues")).to_contain_text("glyph")
    expect(page.locator("#workers")).to_contain_text("1 of 1")
    expect(page.locator("#workers meter")).to_have_count(1)
    expect(page.locator("#workers")).to_contain_text("s ago")
    assert accessibility_problems(page) == []
    visitor.shoot("operator")
    page.get_by_role("link", name="Create").click()
    newest(page).get_by_role("button", name="Cancel").click()


def test_the_api_reference_loads_nothing_from_elsewhere(visit_tiny: Visit) -> None:
    page = visit_tiny().open("docs")

    expect(page.get_by_text("/v1/images/generations").first).to_be_visible()
    page.get_by_text("/v1/images/generations").first.click()
    expect(page.get_by_role("button", name="Try it out")).to_be_visible()


def test_another_site_cannot_show_the_page_in_a_frame(visit_tiny: Visit) -> None:
    visitor = visit_tiny()

    with visitor.page.expect_console_message(lambda said: "frame-ancestors" in said.text):
        visitor.page.set_content(f'<iframe src="{visitor.url}/"></iframe>')

    visitor.complaints.clear()
