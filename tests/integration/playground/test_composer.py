"""The playground's form: every option, every model, and clear words for everything that can go wrong."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from api.edits.request import EditRequest
from docs.tables import error_rows
from shared.job_warnings import CODES
from tests.browser import Visitor, ask
from tests.integration.conftest import BEGINS, Serve
from tests.integration.playground.conftest import Visit

# The page follows its jobs by their events and tells nobody else of them, always asks for previews, has one
# field for a user, and says of an edit how much is redrawn, as the model would by itself.
NOT_IN_THE_FORM = {"stream", "webhook", "safety_identifier", "input_fidelity"}
THE_PAGES_OWN = {"partial_images": "3", "strength": str(BEGINS["strength"]["low"])}
# Codes of jobs that ended without a picture: their words stand on the card.
ERRORS = [(int(status), code.strip("`")) for status, code, *_ in error_rows()]
# What these say of the very request is better than anything that can be written in advance.
IN_THE_SERVICES_WORDS = {
    "unsupported_value",
    "unsupported_parameter",
    "model_not_found",
    "invalid_value",
    "invalid_image",
}
INTERNAL = "Words of the service's own"


def refuse(page: Page, status: int, code: str, param: str | None = None) -> None:
    """Let the service refuse the next request."""

    def answer(route: Route) -> None:
        error = {"message": INTERNAL, "type": "t", "param": param, "code": code}
        route.fulfill(status=status, json={"error": error}, headers={"retry-after": "7"})

    page.route("**/v1/images/generations", answer, times=1)


def test_it_has_every_option_of_the_api_with_its_default(visit: Visit) -> None:
    page = visit().open()
    expect(page.locator("#model option")).to_have_count(3)

    shown: dict[str, Any] = page.evaluate(
        """() => Object.fromEntries(
             [...document.getElementById("composer").elements].filter(field => field.name)
               .map(field => [field.name, field.value]))"""
    )

    fields = EditRequest.model_fields
    assert set(shown) == set(fields) - NOT_IN_THE_FORM
    defaults = {
        name: "" if field.is_required() or field.default is None else str(field.default)
        for name, field in fields.items()
        if name not in NOT_IN_THE_FORM
    }
    assert shown == {**defaults, **THE_PAGES_OWN}
    labels = "fields => fields.filter(field => field.name).map(field => field.labels.length)"
    assert set(page.locator("#composer :is(input, select, textarea)").evaluate_all(labels)) == {1}


def test_it_says_what_each_model_can_do_and_offers_only_that(visit: Visit) -> None:
    page = visit().open()
    can = page.locator("#model-can")
    page.locator("#more").evaluate("element => element.open = true")

    expect(can).to_contain_text("transparency")
    expect(page.locator("#quality-hint")).to_have_text("4 steps")
    page.get_by_label("Quality").select_option("high")
    expect(page.locator("#quality-hint")).to_have_text("6 steps")
    page.get_by_label("Background").select_option("transparent")

    page.get_by_label("Model").select_option("plain")

    expect(can).to_contain_text("opaque only")
    expect(can).to_contain_text("64x64")
    expect(can).to_contain_text("Apache-2.0")
    expect(page.get_by_label("Background")).to_have_value("auto")
    expect(page.locator("#background option[value=transparent]")).to_be_disabled()
    expect(page.get_by_label("What should not be drawn?")).to_be_disabled()
    page.get_by_label("Model").select_option("random")
    expect(page.locator("#model-about")).to_contain_text("can serve the request")


@pytest.mark.slow
def test_it_offers_as_many_images_as_the_service_draws(browser: Browser, serve: Serve) -> None:
    for most in (4, 10):
        visitor = Visitor(browser, serve(api={"max_n": most}).api.url)
        page = visitor.open()
        expect(page.locator("#n")).to_have_attribute("max", str(most))
        page.get_by_label("Model").select_option("random")
        expect(page.locator("#n")).to_have_attribute("max", str(most))
        visitor.close()


def test_every_warning_has_advice_and_no_other(visit: Visit) -> None:
    page = visit().open()

    codes = page.evaluate("import('/playground/js/words.js').then(words => words.WARNINGS)")

    assert tuple(codes) == CODES


def test_the_words_are_about_the_errors_of_the_contract_and_no_others(visit: Visit) -> None:
    page = visit().open()

    codes = page.evaluate("import('/playground/js/words.js').then(words => words.CODES)")

    in_the_contract = {code for _, code in ERRORS}
    assert in_the_contract - set(codes) <= {"invalid_value"}  # which each says for itself
    assert set(codes) - in_the_contract == set()


@pytest.mark.slow
def test_every_error_of_the_contract_has_clear_words(visit: Visit) -> None:
    page = visit().open()
    problem = page.locator("#form-problem")
    said = {}
    for status, code in ERRORS:
        refuse(page, status, code)
        ask(page)
        expect(problem).to_contain_text("Try again in 7 seconds")
        said[code] = problem.inner_text()
        page.evaluate("document.getElementById('form-problem').textContent = ''")
        if code == "invalid_api_key":
            page.get_by_role("button", name="Close").click()

    in_its_own = {code for code, words in said.items() if INTERNAL in words}
    assert in_its_own == IN_THE_SERVICES_WORDS | {c for s, c in ERRORS if s == 422}
    assert all(code not in words for code, words in said.items())


def test_a_problem_stands_at_its_field(visit: Visit) -> None:
    page = visit().open()

    for field in ("prompt", "model", "size", "background", "n", "seed", "user", "negative_prompt"):
        refuse(page, 422, "invalid_value", field)
        ask(page)
        expect(page.locator(f"#{field}-problem")).to_contain_text(INTERNAL)
        expect(page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
        expect(page.locator(f"#{field}")).to_be_focused()
        expect(page.locator(".problem:not(:empty)")).to_have_count(1)


def test_a_problem_in_the_services_words_is_a_sentence_without_the_fields_name(visit: Visit) -> None:
    page = visit().open()

    ask(page, "a tiny picture", size="70x70")

    expect(page.locator("#size-problem")).to_contain_text("multiples of 8")
    assert not page.locator("#size-problem").inner_text().startswith("size:")
    page.get_by_label("What should be drawn?").fill("   ")
    page.get_by_role("button", name="Draw").click()
    expect(page.locator("#prompt-problem")).to_have_text("Say what should be drawn.")
    expect(page.locator("#size-problem")).to_be_empty()


def test_a_service_that_is_gone_is_said_to_be_away(visit: Visit) -> None:
    page = visit().open()
    expect(page.locator("#service")).to_have_text("Ready")
    page.route("**/v1/**", lambda route: route.abort("connectionrefused"))

    ask(page)

    expect(page.locator("#form-problem")).to_contain_text("cannot be reached")


def test_a_first_visitor_is_given_ideas(visit: Visit) -> None:
    page = visit().open()

    expect(page.locator("#gallery-empty")).to_contain_text("Nothing developed yet")
    page.get_by_role("button", name="Black Swan").click()

    expect(page.get_by_label("What should be drawn?")).to_have_value("Black Swan")
    expect(page.get_by_label("What should be drawn?")).to_be_focused()
