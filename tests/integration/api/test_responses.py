"""The documented 200: exactly its members, the pictures, and the tokens."""

import base64
import time
from fractions import Fraction
from math import ceil

import pytest

from tests.integration.conftest import Service
from tests.played_worker import TEXT_TOKENS


def tokens(width: int, height: int, factor: int) -> int:
    """OpenAI's published formula, in exact fractions."""
    short, long = min(width, height), max(width, height)
    side = round_half_up(Fraction(factor * short, long))
    return ceil(Fraction(factor * side) * (2_000_000 + width * height) / 4_000_000)


def round_half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def test_the_body_has_exactly_the_documented_members(automatic: Service) -> None:
    before = int(time.time())
    answer = automatic.caller.generate(prompt="Black Swan", n=2, seed=5)
    after = time.time()

    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"created", "data", "usage"}
    assert type(body["created"]) is int
    assert before - 1 <= body["created"] <= after + 1
    assert [set(image) for image in body["data"]] == [{"b64_json"}, {"b64_json"}]
    assert [base64.b64decode(image["b64_json"], validate=True) for image in body["data"]] == [
        b"Black Swan 5",
        b"Black Swan 6",
    ]
    assert body["usage"] == {
        "input_tokens": TEXT_TOKENS,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": TEXT_TOKENS},
        "output_tokens": 2606,
        "total_tokens": TEXT_TOKENS + 2606,
    }


@pytest.mark.parametrize(
    ("quality", "each"), [("low", 145), ("medium", 1303), ("auto", 1303), ("high", 5212)]
)
@pytest.mark.parametrize("n", [1, 3])
def test_output_tokens_of_512_pixels_are_the_contracts(
    automatic: Service, quality: str, each: int, n: int
) -> None:
    usage = automatic.caller.generate(quality=quality, n=n).json()["usage"]

    assert (usage["output_tokens"], usage["total_tokens"]) == (n * each, n * each + TEXT_TOKENS)


@pytest.mark.parametrize("size", [(64, 64), (1024, 1024), (1024, 1536), (1536, 1024), (2048, 512), (72, 88)])
def test_output_tokens_follow_the_published_formula(automatic: Service, size: tuple[int, int]) -> None:
    for quality, factor in (("low", 16), ("medium", 48), ("high", 96)):
        answer = automatic.caller.generate(size=f"{size[0]}x{size[1]}", quality=quality)

        assert answer.json()["usage"]["output_tokens"] == tokens(*size, factor)


def test_the_result_is_byte_for_byte_the_body_of_the_held_call(automatic: Service) -> None:
    held = automatic.caller.generate(n=3)

    fetched = [automatic.caller.result(held.headers["x-job-id"]) for _ in range(2)]
    assert [answer.content for answer in fetched] == [held.content, held.content]
    assert fetched[0].headers["content-type"] == held.headers["content-type"]


def test_the_headers_of_the_openai_clients_are_accepted(automatic: Service) -> None:
    caller = automatic.another_caller(
        "sk-test", OpenAI_Organization="org-AbC123", OpenAI_Project="proj_x.1:y-2"
    )

    assert caller.generate().status_code == 200


def test_a_call_needs_no_key_where_none_is_configured(automatic: Service) -> None:
    assert automatic.another_caller(key="").generate().status_code == 200
