"""Prompts in every script: drawn as they were written, or refused with a reason; never a 500."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http_caller import assert_error
from tests.integration.conftest import Service

# Half a surrogate pair: JSON can spell it, no text can contain it.
HALF_A_PAIR = r"\ud800"


def told(service: Service, **fields: Any) -> str:
    """The prompt that reaches the worker."""
    answer = service.caller.generate(**fields)
    assert answer.status_code == 200, answer.text
    return service.worker.drawn[answer.headers["x-job-id"]].prompt


@pytest.mark.parametrize(
    "prompt",
    [
        "a",
        "🦢",
        "👩‍👩‍👧‍👦 família 🏳️‍🌈",
        "بجعة سوداء على الماء",
        "ברבור שחור",
        "אדום \u202e apple \u202c",
        "黒い白鳥",
        "re\u0301sume\u0301",
        "zero\u200bwidth",
        "two\nlines\r\n\tand a tab",
        'quotes " and \\ and {braces} and %s',
        "\ufeffbyte order mark",
        "\U0010ffff",
        "<script>alert(1)</script>",
    ],
)
def test_a_prompt_reaches_the_worker_as_it_was_written(automatic: Service, prompt: str) -> None:
    assert told(automatic, prompt=prompt) == prompt


def test_a_prompt_is_trimmed(automatic: Service) -> None:
    assert told(automatic, prompt=" \n black swan\u3000\t") == "black swan"


@pytest.mark.parametrize("character", ["a", "é", "🦢"])
def test_a_prompt_may_have_32_000_characters(automatic: Service, character: str) -> None:
    assert told(automatic, prompt=character * 32_000) == character * 32_000


def test_what_is_trimmed_does_not_count(automatic: Service) -> None:
    assert len(told(automatic, prompt=" " * 9 + "a" * 32_000 + " " * 9)) == 32_000


@pytest.mark.parametrize("character", ["a", "🦢"])
def test_a_prompt_of_32_001_characters_is_a_422(automatic: Service, character: str) -> None:
    answer = automatic.caller.generate(prompt=character * 32_001)

    assert "32000" in assert_error(answer, 422, "invalid_value", param="prompt")


def test_an_escaped_surrogate_pair_is_one_character(automatic: Service) -> None:
    answer = automatic.caller.post(rb'{"prompt": "\ud83e\udda2"}')

    assert automatic.worker.drawn[answer.headers["x-job-id"]].prompt == "🦢"


@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "model", "user", "size", "style"])
def test_half_a_surrogate_pair_is_a_422(automatic: Service, field: str) -> None:
    others = "" if field == "prompt" else '"prompt": "a", '
    answer = automatic.caller.post(f'{{{others}"{field}": "{HALF_A_PAIR}"}}'.encode())

    assert_error(answer, 422, "invalid_value", param=field)


def test_half_a_surrogate_pair_in_the_name_of_a_field_is_an_unknown_field(automatic: Service) -> None:
    answer = automatic.caller.post(f'{{"prompt": "a", "{HALF_A_PAIR}": 1}}'.encode())

    assert answer.status_code == 200
    assert "x-ignored-fields" not in answer.headers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(
        st.sampled_from(["prompt", "negative_prompt", "model", "user", "n", "seed", "size"])
        | st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
)
def test_no_body_at_all_is_a_500(automatic: Service, body: dict[str, Any]) -> None:
    answer = automatic.caller.post(json.dumps(body).encode())

    assert answer.status_code in {200, 400, 404, 422}
    assert answer.headers["x-request-id"]
