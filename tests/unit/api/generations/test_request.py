"""The request's rules, and that its schema says the same as its validators."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from api.generations.request import GenerationRequest
from api.generations.submit import chosen_seed
from shared.params import MAX_SEED, Background, OutputFormat, Params, Quality, Style

SCHEMA = GenerationRequest.model_json_schema()


def request(**fields: Any) -> GenerationRequest:
    return GenerationRequest.model_validate({"prompt": "swan", **fields})


def accepted(**fields: Any) -> bool:
    try:
        request(**fields)
    except ValidationError:
        return False
    return True


def test_the_schema_and_the_validator_agree_on_every_side_of_a_picture() -> None:
    pattern = re.compile(SCHEMA["properties"]["size"]["anyOf"][0]["pattern"])
    for text in ("AUTO", "\t1024X64 ", "", " ", "auto auto", "64 x64", "x64", "autox64", "\u00a064x64"):
        assert bool(pattern.search(text)) == accepted(size=text), text
    sides = [*range(4200), 10_000]

    allowed = [side for side in sides if accepted(size=f"{side}x64")]
    assert allowed == list(range(64, 4097, 8))
    assert [side for side in sides if pattern.search(f"{side}x64")] == allowed
    assert [side for side in sides if pattern.search(f"64x{side}")] == allowed


@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "model"])
def test_the_schema_and_the_validator_agree_on_every_low_character(field: str) -> None:
    described = SCHEMA["properties"][field]
    pattern = re.compile(described.get("pattern") or described["anyOf"][0]["pattern"])

    for code in range(0x100):
        text = f"a{chr(code)}b"
        assert accepted(**{field: text}) == bool(pattern.search(text)), hex(code)


@pytest.mark.parametrize("text", ["", " ", "\t\n\r", "\u00a0\u2003\u3000", "\u200b", "a"])
def test_the_schema_and_the_validator_agree_on_what_is_empty(text: str) -> None:
    described = SCHEMA["properties"]["prompt"]

    assert accepted(prompt=text) == bool(re.search(described["pattern"], text))


def test_every_optional_field_may_be_null_in_the_schema_too() -> None:
    assert SCHEMA["required"] == ["prompt"]
    for name, field in SCHEMA["properties"].items():
        assert (name == "prompt") != ({"type": "null"} in field.get("anyOf", []))


def test_every_auto_is_decided() -> None:
    params = request(background="auto", quality="auto", size="auto").params(seed=9)

    assert params == Params(
        prompt="swan",
        background=Background.OPAQUE,
        quality=Quality.MEDIUM,
        width=512,
        height=512,
        output_format=OutputFormat.PNG,
        style=Style.VIVID,
        seed=9,
    )


def test_a_given_seed_counts_even_when_it_is_0() -> None:
    assert request(seed=0).params(seed=9).seed == 0


def test_a_user_is_one_however_its_name_is_composed() -> None:
    assert request(user="Zoe\u0301").user == request(user="Zo\u00e9").user


@pytest.mark.parametrize("limit", [1, 10])
def test_the_limit_of_n_is_the_given_one_and_the_rest_stays(limit: int) -> None:
    body = GenerationRequest.with_max_n(limit)

    assert body.model_validate({"prompt": "swan", "n": limit}).n == limit
    with pytest.raises(ValidationError):
        body.model_validate({"prompt": "swan", "n": limit + 1})
    schema = body.model_json_schema()
    assert schema["title"] == SCHEMA["title"]
    assert {k: v for k, v in schema["properties"].items() if k != "n"} == {
        k: v for k, v in SCHEMA["properties"].items() if k != "n"
    }


CHOICES = {
    "background": ("auto", "transparent", "opaque"),
    "moderation": ("low", "auto"),
    "output_format": ("png", "webp", "jpeg"),
    "quality": ("low", "medium", "high", "auto", "standard", "hd", "xhigh", "max"),
    "response_format": ("url", "b64_json"),
    "style": ("vivid", "natural"),
}


@pytest.mark.parametrize("field", CHOICES)
def test_the_schema_and_the_validator_agree_on_how_a_choice_is_spelled(field: str) -> None:
    listed, text, nothing = SCHEMA["properties"][field]["anyOf"]
    pattern = re.compile(text["pattern"])
    assert (text["type"], nothing) == ("string", {"type": "null"})
    assert "$ref" in listed

    for word in CHOICES[field]:
        spellings = (word, word.upper(), word.title(), f" \t{word}\r\n")
        assert all(accepted(**{field: each}) and pattern.search(each) for each in spellings)
        for wrong in (f"{word}s", f"{word[0]} {word[1:]}", f"\u00a0{word}", f"{word}\x00", f"{word} {word}"):
            assert not accepted(**{field: wrong})
            assert not pattern.search(wrong)
    assert all(accepted(**{field: each}) and pattern.search(each) for each in ("", "  "))
    assert not accepted(**{field: "K"})
    assert not accepted(**{field: 1})


def test_no_letter_beyond_ascii_stands_for_one_of_a_choice() -> None:
    for code in range(0x80, 0x3000):
        assert not accepted(quality=f"{chr(code)}ow")
        assert not accepted(response_format=f"b64_j{chr(code)}on")


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("seed", [0, 1, MAX_SEED - 3, MAX_SEED - 2, MAX_SEED - 1, MAX_SEED])
def test_the_schema_and_the_validator_agree_on_the_last_seed(n: int, seed: int) -> None:
    never = SCHEMA["not"]["anyOf"][1:]
    forbidden = any(
        n >= each["properties"]["n"]["minimum"] and seed >= each["properties"]["seed"]["minimum"]
        for each in never
    )

    assert accepted(n=n, seed=seed) == (seed + n - 1 <= MAX_SEED) == (not forbidden)


def test_no_seed_is_minus_one() -> None:
    assert request(seed=-1).seed is request(seed=-1.0).seed is request().seed is None
    assert not accepted(seed=-2)
    assert request(seed=-1).params(seed=9).seed == 9


@pytest.mark.parametrize("n", [1, 4, 10])
def test_a_seed_that_the_service_chooses_leaves_room_for_the_last_image(n: int) -> None:
    assert chosen_seed(n, lambda bound: bound - 1) + n - 1 == MAX_SEED
    assert chosen_seed(n, lambda _: 0) == 0


def test_the_text_of_a_request_that_is_remembered_is_what_it_was() -> None:
    """An Idempotency-Key is compared by it for a day, also over an upgrade of the service."""
    known = (
        '{"prompt":"swan","output_format":"png","background":"auto","model":"","moderation":"auto","n":1,'
        '"output_compression":95,"quality":"auto","response_format":"b64_json","size":"auto",'
        '"style":"vivid","user":"","stream":false,"partial_images":0,"seed":null,"negative_prompt":null}'
    )

    assert request().canonical() == known
    assert request(size=" AUTO", style="", seed=-1, quality="").canonical() == known
    assert request(safety_identifier="anna", user="bert").canonical() == request(user="anna").canonical()


def test_a_negative_prompt_of_nothing_asks_for_nothing() -> None:
    assert request(negative_prompt="").params(seed=1).negative_prompt is None
