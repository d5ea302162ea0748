"""The playground's gallery: what each job says of itself, in every state, and what stays."""

import pytest
from playwright.sync_api import expect

from shared.job_warnings import JobWarning
from tests.browser import ask, newest
from tests.integration.conftest import Service
from tests.integration.playground.conftest import Visit


def test_a_job_says_its_place_when_it_begins_and_its_step(visit: Visit, service: Service) -> None:
    page = visit().open()
    ask(page, "the first")
    ask(page, "the second")
    second = newest(page)
    expect(second).to_contain_text("the second")
    expect(second.locator(".state")).to_contain_text("1 ahead of it")

    first = service.worker.take()
    expect(second.locator(".state")).to_contain_text("Next in line")
    service.worker.store.progress([(first.job_id, first.token, 2, 4)])

    drawn = page.locator(".job").nth(1)
    expect(drawn.locator(".state")).to_have_text("Drawing: step 2 of 4")
    expect(drawn.locator("progress")).to_have_attribute("value", "50")


def test_a_job_that_failed_says_why_and_can_be_drawn_again(visit: Visit, service: Service) -> None:
    page = visit().open()
    ask(page, "a lost cause")
    service.worker.fail(service.worker.take())

    expect(newest(page).locator(".state")).to_have_text("The picture could not be drawn.")
    expect(newest(page).locator(".picture")).to_be_hidden()
    newest(page).get_by_role("button", name="Again").click()

    expect(page.locator(".job")).to_have_count(2)
    expect(newest(page).locator(".state")).to_contain_text("Next in line")


def test_a_picture_that_is_not_quite_what_was_asked_for_says_so_and_what_to_do(
    visit: Visit, service: Service
) -> None:
    page = visit().open()
    ask(page, "a long story")
    expect(newest(page).locator(".warnings")).to_be_hidden()
    message = "The prompt has 60 tokens, of which the model reads the first 46."
    newer = JobWarning("of_a_newer_worker", "Something <b>else</b>.")

    service.worker.finish(service.worker.take(), JobWarning("prompt_truncated", message), newer)

    expect(newest(page).locator(".warnings li")).to_have_text(
        [f"{message} Say the most important things first, or less.", "Something <b>else</b>."]
    )


def test_a_picture_that_has_expired_says_so(visit: Visit, service: Service) -> None:
    page = visit().open()
    ask(page, "a passing thing")
    service.worker.do()
    expect(newest(page).locator(".state")).to_contain_text("Done in")
    job_id = newest(page).get_attribute("data-job")
    assert job_id is not None
    service.worker.client.delete(service.key("result", job_id))

    page.reload()

    expect(newest(page).locator(".state")).to_contain_text("has expired")
    expect(newest(page).get_by_role("button", name="Again")).to_be_visible()


def test_what_another_program_asked_for_is_there_without_its_words(visit: Visit, service: Service) -> None:
    visitor = visit()
    owner = service.another_caller("")
    owner.submit(prompt="a secret")

    page = visitor.open()

    expect(newest(page)).to_contain_text("Asked for elsewhere")
    expect(newest(page).get_by_role("button", name="Cancel")).to_be_visible()


def test_older_jobs_are_a_click_away(visit: Visit, service: Service) -> None:
    owner = service.another_caller("")
    ids = [owner.submit(prompt=f"number {number}") for number in range(25)]
    page = visit().open()
    cards = page.locator(".job")
    expect(cards).to_have_count(20)

    page.get_by_role("button", name="Show older ones").click()

    expect(cards).to_have_count(25)
    expect(cards.last).to_have_attribute("data-job", ids[0])
    expect(page.get_by_role("button", name="Show older ones")).to_be_hidden()


@pytest.mark.slow
def test_many_live_jobs_do_not_use_up_the_browsers_connections(visit: Visit, service: Service) -> None:
    page = visit().open()
    for number in range(8):
        ask(page, f"number {number}")
        expect(newest(page)).to_contain_text(f"number {number}")
    cards = page.locator(".job")
    expect(newest(page).locator(".state")).to_contain_text("7 ahead of it")

    for _ in range(5):
        service.worker.fail(service.worker.take())

    for place in range(3, 8):
        expect(cards.nth(place).locator(".state")).to_have_text("The picture could not be drawn.")
    expect(newest(page).locator(".state")).to_contain_text("2 ahead of it")
    newest(page).get_by_role("button", name="Cancel").click()
    expect(newest(page).locator(".state")).to_have_text("Cancelled.")
