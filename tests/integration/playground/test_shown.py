"""What somebody typed is shown on the page as text that hides nothing and turns nothing around."""

import ast
import json
import shlex
from unicodedata import category

import pytest
from playwright.sync_api import expect

from shared.printable import MARK, printable
from tests.browser import ask, newest
from tests.integration.conftest import Service
from tests.integration.playground.conftest import Visit

# Controls are refused by the API.
PROMPT = "gpj.\u202egnp \u2066a\u2069 \u2028 \U000e0041 \u200b <b>bold</b> 👩‍💻"
SHOWN = f"gpj.{MARK}gnp {MARK}a{MARK} {MARK} {MARK} {MARK} <b>bold</b> 👩‍💻"
ALL = """async (texts) => {
  const { printable } = await import("/playground/js/printable.js");
  return texts.map((text) => printable(text));
}"""
JOINED = [
    "👩‍💻",
    "❤️‍🔥",
    "👩🏽‍🚀",
    "می‌خواهم",
    "a\u200db",
    "👩\u200d",
    "\u200d💻",
    "👩\u200c💻",
    "\ue000",
    "\ufeff",
    "\U000e0041",
]


def test_the_page_shows_what_the_terminal_does(visit: Visit) -> None:
    """One rule in two languages: every assigned character of the first planes, and those that join."""
    page = visit().open()
    texts = [chr(code) for code in range(0x3000) if category(chr(code)) != "Cn"] + JOINED

    shown = page.evaluate(ALL, texts)

    assert [text for text, one in zip(texts, shown, strict=True) if one != printable(text)] == []


def test_a_prompt_is_shown_without_what_would_turn_it_around(visit: Visit, service: Service) -> None:
    page = visit().open()
    ask(page, PROMPT)
    card = newest(page)

    expect(card.locator(".words")).to_have_text(SHOWN)
    service.worker.do()
    expect(card.locator("img")).to_have_attribute("alt", SHOWN)
    expect(page.locator("#announcer")).to_contain_text("gpj.")
    assert "\u202e" not in page.locator("#announcer").inner_text()


@pytest.mark.slow
def test_what_is_copied_from_it_is_the_same_request_and_orders_a_terminal_nothing(visit: Visit) -> None:
    page = visit().open()
    ask(page, PROMPT)

    copied = {}
    for name in ("curl", "Python"):
        newest(page).get_by_role("button", name=f"Copy as {name}").click()
        expect(newest(page).get_by_role("button", name="Copied")).to_be_visible()
        copied[name] = page.evaluate("navigator.clipboard.readText()")
        assert [char for char in copied[name] if char != "\n" and not char.isprintable()] == []
        expect(newest(page).get_by_role("button", name=f"Copy as {name}")).to_be_visible()

    words = shlex.split(copied["curl"].replace("\\\n", ""))
    body = json.loads(words[words.index("-d") + 1])
    assert (body["prompt"], body.keys()) == (PROMPT, {"prompt", "seed"})
    calls = [node for node in ast.walk(ast.parse(copied["Python"])) if isinstance(node, ast.keyword)]
    said = {node.arg: node.value for node in calls}
    assert ast.literal_eval(said["prompt"]) == PROMPT
    # The program reads nothing else, whatever the service gives by default.
    assert ast.literal_eval(said["response_format"]) == "b64_json"
