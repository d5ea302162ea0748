"""Texts that look alike are compared alike."""

import sys
import unicodedata

import pytest

from api.moderation import folding


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Black SWAN", "black swan"),
        ("résumé", "resume"),
        ("ｓｗａｎ", "swan"),
        ("𝓈𝓌𝒶𝓃", "swan"),
        ("ⓢⓦⓐⓝ", "swan"),
        ("🅂🅆🄰🄽", "swan"),
        ("🇸🇼🇦🇳", "swan"),
        ("🅢🅦🅐🅝", "swan"),
        ("SWAΝ", "swan"),
        ("ѕԝаn", "swan"),
        ("swαn", "swan"),
        ("s̶w̶a̶n̶", "swan"),
        ("ẞtraße", "sstrasse"),
        ("BlackSwan", "black_swan"),
    ],
)
def test_a_text_is_compared_without_its_disguise(written: str, compared: str) -> None:
    assert list(folding.fold(written)) == [compared]


def test_invisible_characters_are_left_out_and_also_read_as_blanks() -> None:
    assert list(folding.fold("bl\u200back\u2060swan")) == ["blackswan", "bl ack swan"]


def test_every_look_alike_becomes_its_letter() -> None:
    wrong = [
        (latin, other)
        for latin, others in folding._LOOK_ALIKES.items()
        for other in others
        if list(folding.fold(other)) != [latin]
    ]

    assert wrong == []


def test_no_mark_and_no_invisible_character_is_overlooked() -> None:
    removed = {*folding._of_categories(folding._MARKS), *folding._of_categories(frozenset({"Cf"}))}
    there_are = {
        character
        for character in map(chr, range(0x80, sys.maxunicode + 1))
        if unicodedata.category(character) in {"Mn", "Me", "Cf"}
    }

    assert there_are == removed


def test_no_character_makes_a_text_much_longer() -> None:
    longest = max(len(next(folding.fold(chr(code)))) for code in range(0x80, 0x30000))

    assert longest <= 8
