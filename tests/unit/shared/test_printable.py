"""What others wrote is shown as text: no order to a terminal, nothing hidden, nothing turned around."""

import sys
import unicodedata

import pytest

from shared.errors import InvalidField
from shared.printable import MARK, is_printable, printable, printable_lines

ORDERS = {
    "colour": "\x1b[31mred\x1b[0m",
    "link": "\x1b]8;;http://evil.example\x07here\x1b]8;;\x07",
    "title": "\x1b]0;title\x9c",
    "c1": "\x9b31mred",
    "back": "secret\b\b\b\b\b\bpublic",
    "return": "a long line\rshort",
    "bidi": "gpj.\u202egnp",
    "isolate": "\u2066a\u2069",
    "hidden": "a\u200bb\u00adc\ufeffd\U000e0041",
    "lines": "a\u2028b\u2029c\x0bd\x0ce\x85f",
    "surrogate": "\ud800",
    "private": "\ue000",
    "nothing": "\uffff",
    "delete": "a\x7f",
}


@pytest.mark.parametrize("text", ORDERS.values(), ids=ORDERS)
def test_what_a_terminal_would_take_for_an_order_becomes_a_mark(text: str) -> None:
    for shown in (printable(text), printable_lines(text)):
        assert MARK in shown
        assert shown.isprintable()
        assert len(shown) == len(text)
    assert not is_printable(text)


@pytest.mark.slow
def test_every_character_of_these_kinds_is_taken_out_and_no_other() -> None:
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    wrong = [
        code
        for code in range(sys.maxunicode + 1)
        if code not in {9, 10}
        and (printable(chr(code)) == MARK) != (code == ord(MARK) or unicodedata.category(chr(code)) in hidden)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        "Schwarzer Schwan, größer",
        "黒い白鳥 ▲ □",
        "👩‍💻 👩🏽‍🚀 ❤️‍🔥 🏳️‍🌈 👩‍⚕️",
        "می‌خواهم",
        "ශ්‍රී ක්‍ෂ",
        "[bold red]no markup[/]",
        "",
    ],
)
def test_writing_stays_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert is_printable(text)


@pytest.mark.parametrize("text", ["a\u200db", "\u200d💻", "👩\u200d", "👩\u200c💻", "1\u200d2", "👩\u200da"])
def test_a_joiner_that_joins_nothing_is_taken_out(text: str) -> None:
    assert "\u200d" not in printable(text)
    assert "\u200c" not in printable(text)
    assert MARK in printable(text)


def test_a_text_for_one_line_has_one() -> None:
    assert printable("two\nlines\tand a tab\r\n") == f"two lines and a tab{MARK} "
    assert printable_lines("two\nlines\tand a tab") == "two\nlines\tand a tab"
    assert not is_printable("two\nlines")


def test_a_long_text_is_cut_and_says_so() -> None:
    assert printable("abcdef", 6) == "abcdef"
    assert printable("abcdef", 4) == "abc…"
    assert printable("\x1babcdef", 4) == f"{MARK}ab…"


def test_an_error_that_quotes_a_caller_orders_nothing() -> None:
    error = InvalidField("there is no \x1b[31m\u202eof this name", param="a\x1bb")

    assert error.message == f"there is no {MARK}[31m{MARK}of this name"
    assert str(error) == error.message
    assert error.param == f"a{MARK}b"
