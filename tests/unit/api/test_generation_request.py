"""The request's rules, and that its schema says the same as its validators."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from api.generation_request import GenerationRequest
from shared.params import Background, OutputFormat, Params, Quality, Style

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
