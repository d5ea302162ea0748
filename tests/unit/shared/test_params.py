"""The versions of the params: what a job needs of the worker that draws it, and what others make of it."""

import json
from collections.abc import Mapping
from typing import ClassVar

import pytest
from pydantic import ValidationError

from shared.params import PARAMS_VERSION, OutputFormat, Params, Quality, shown


class Later(Params):
    """What the params may be one day."""

    added_in: ClassVar[Mapping[str, int]] = {
        **Params.added_in,
        "grain": PARAMS_VERSION + 1,
        "tiles": PARAMS_VERSION + 2,
    }
    grain: int = 0
    tiles: tuple[int, ...] = ()


def test_every_field_says_which_version_brought_it() -> None:
    assert Params.added_in.keys() == Params.model_fields.keys()
    assert set(Params.added_in.values()) == set(range(1, PARAMS_VERSION + 1))


def test_every_field_of_a_later_version_has_a_default() -> None:
    """Without one, no job could do without it, and every old worker would be idle at once."""
    later = [name for name, version in Params.added_in.items() if version > 1]
    assert not [name for name in later if Params.model_fields[name].is_required()]


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        ({}, 1),
        ({"quality": Quality.HIGH, "n": 3}, 1),
        ({"grain": 0, "tiles": ()}, 1),
        ({"grain": 3}, PARAMS_VERSION + 1),
        ({"tiles": (1,)}, PARAMS_VERSION + 2),
        ({"grain": 3, "tiles": (1,)}, PARAMS_VERSION + 2),
    ],
)
def test_a_job_needs_the_version_of_its_newest_choice(asked: dict[str, object], needs: int) -> None:
    params = Later.model_validate({"prompt": "swan", "seed": 1, **asked})

    assert params.needs() == needs
    assert Later.model_validate_json(params.written()) == params


def test_what_a_later_version_writes_an_earlier_one_reads_where_it_asks_for_nothing_new() -> None:
    params = Later(prompt="swan", seed=1, quality=Quality.LOW)

    assert Params.model_validate_json(params.written()) == Params(prompt="swan", seed=1, quality=Quality.LOW)
    with pytest.raises(ValidationError):
        Params.model_validate_json(Later(prompt="swan", seed=1, grain=1).written())


def test_a_job_of_a_later_version_can_be_told_of() -> None:
    words = Later(prompt="swan", seed=7, n=2, grain=3, output_format=OutputFormat.WEBP).written().encode()

    assert shown(words) == Params(prompt="swan", seed=7, n=2, output_format=OutputFormat.WEBP)


@pytest.mark.parametrize(
    ("words", "understood"),
    [
        ({"quality": "ultra", "width": 9000, "n": 3}, {"n": 3}),
        ({"prompt": None, "seed": {"of": "each"}}, {"prompt": "?", "seed": 0}),
    ],
)
def test_values_that_are_not_understood_are_left_out(
    words: dict[str, object], understood: dict[str, object]
) -> None:
    known = {"prompt": "swan", "seed": 7}

    assert shown(json.dumps({**known, **words}).encode()) == Params.model_validate({**known, **understood})


@pytest.mark.parametrize("words", [b"", b"{", b"[1]", b"null", b"\xff"])
def test_words_that_are_no_params_at_all_break_nothing(words: bytes) -> None:
    assert shown(words) == Params(prompt="?", seed=0)
