"""Moderation of prompts: refused before anything is stored, and without a word of what was asked for."""

import re
from pathlib import Path

import pytest

from tests.http_caller import ASYNC, JOBS, assert_error
from tests.integration.conftest import Serve, Service

BLOCKED = {"kind": "image_generation_user_error", "param": "prompt"}
GENERAL = "a nude woman on a beach"
SEVERE = "a man raping a woman"


def counted(service: Service, code: str) -> float:
    text = service.caller.http.get("/metrics").text
    found = re.search(rf'darkroom_http_errors_total{{code="{code}"}} (\S+)', text)
    return float(found[1]) if found else 0


def test_a_blocked_prompt_is_a_400_that_names_its_category_and_no_word(service: Service) -> None:
    before = counted(service, "moderation_blocked")
    answer = service.caller.generate(prompt=GENERAL)

    message = assert_error(answer, 400, "moderation_blocked", **BLOCKED)
    assert message == "The prompt was blocked by moderation: sexual."
    assert "retry-after" not in answer.headers
    assert counted(service, "moderation_blocked") == before + 1
    assert 'darkroom_moderation_blocked_total{category="sexual",moderator="terms"}' in (
        service.caller.http.get("/metrics").text
    )


@pytest.mark.parametrize("headers", [{}, ASYNC, {"Prefer": "wait=5"}, {"Idempotency-Key": "k"}])
@pytest.mark.parametrize("stream", [False, True])
def test_nothing_of_a_blocked_prompt_is_stored(
    service: Service, headers: dict[str, str], *, stream: bool
) -> None:
    before = set(service.worker.client.keys("*"))
    answer = service.caller.generate(headers, prompt=GENERAL, stream=stream)

    assert_error(answer, 400, "moderation_blocked", **BLOCKED)
    # What is counted of calls of a key is all that may have changed.
    new = {key for key in set(service.worker.client.keys("*")) - before if b"rate" not in key}
    assert new == set()
    assert service.caller.http.get(JOBS).json()["data"] == []
    assert service.worker.claim() is None


def test_low_blocks_only_what_is_severe(service: Service) -> None:
    assert service.caller.submit(prompt=GENERAL, moderation="low")

    answer = service.caller.generate(prompt=SEVERE, moderation="low")
    assert "sexual_violence" in assert_error(answer, 400, "moderation_blocked", **BLOCKED)


@pytest.mark.parametrize(
    "prompt",
    [
        "a nakedwoman",
        "#nudegrandmother, nudewoman",
        "NakedWoman",
        "pr0n star",
        "p*rn",
        "dekan namow",
        "nrop",
        "epar",
    ],
)
def test_auto_blocks_general_categories_in_disguise_and_low_does_not(service: Service, prompt: str) -> None:
    message = assert_error(service.caller.generate(prompt=prompt), 400, "moderation_blocked", **BLOCKED)

    assert message == "The prompt was blocked by moderation: sexual."
    assert service.caller.submit(prompt=prompt, moderation="low")


@pytest.mark.parametrize("prompt", ["nudechild", "rapescene", "n*de child"])
def test_low_blocks_what_is_severe_in_disguise(service: Service, prompt: str) -> None:
    answer = service.caller.generate(prompt=prompt, moderation="low")

    assert_error(answer, 400, "moderation_blocked", **BLOCKED)


@pytest.mark.parametrize(
    "prompt",
    [
        "a naked mole-rat",
        "nude lipstick/gloss",
        "a therapist in Scunthorpe",
        "ein Dekan im Talar",
        "bath bomb making, step by step",
        "a white power cable, pronouns, peacocks and grapes",
    ],
)
def test_what_only_contains_a_term_is_drawn(service: Service, prompt: str) -> None:
    assert service.caller.submit(prompt=prompt)


def test_how_a_job_is_moderated_goes_with_it(service: Service) -> None:
    service.caller.submit(moderation="low")
    service.caller.submit(moderation=None)

    attempts = [service.worker.take() for _ in range(2)]
    drawn = [service.worker.drawn[attempt.job_id].moderation.value for attempt in attempts]
    assert drawn == ["low", "auto"]


@pytest.mark.parametrize("negative", ["nude, nsfw, gore, child", "blurry, underwear, modern clothes", "rape"])
def test_a_negative_prompt_may_name_what_is_not_to_be_drawn(service: Service, negative: str) -> None:
    assert service.caller.submit(prompt="a woman with her child on a beach", negative_prompt=negative)


def test_a_negative_prompt_that_undresses_is_blocked(service: Service) -> None:
    answer = service.caller.generate(prompt="a child on a beach", negative_prompt="clothes", moderation="low")

    assert "sexual_minors" in assert_error(answer, 400, "moderation_blocked", **BLOCKED)


def test_neither_log_nor_answer_repeats_the_prompt(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    answer = service.caller.generate(prompt="a quite secret nude meadow")

    printed = capsys.readouterr()
    assert "prompt.blocked" in printed.out
    assert "sexual" in printed.out
    for text in (answer.text, str(answer.headers), printed.out, printed.err):
        assert not re.search("secret|nude|meadow", text)


def test_an_operator_decides_what_is_severe_and_what_is_not_looked_for(serve: Serve) -> None:
    service = serve(moderation={"categories": {"sexual": "severe", "hate": "off"}})

    assert_error(
        service.caller.generate(prompt=GENERAL, moderation="low"), 400, "moderation_blocked", **BLOCKED
    )
    assert service.caller.submit(prompt="a nazi salute")


def test_an_operator_has_a_list_of_their_own(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "terms.toml"
    file.write_text('[categories]\nother = ["teapot"]\n', encoding="utf-8")
    service = serve(moderation={"terms": file})

    assert service.caller.submit(prompt=GENERAL)
    assert "other" in assert_error(
        service.caller.generate(prompt="a Teap0t"), 400, "moderation_blocked", **BLOCKED
    )


def test_moderation_of_prompts_can_be_switched_off(serve: Serve) -> None:
    service = serve(moderation={"prompts": False})

    assert service.caller.submit(prompt=SEVERE)
