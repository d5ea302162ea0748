"""What others wrote, fit to be shown: on a terminal, in a log, in an error, on a page.

A terminal takes some characters for orders: escape sequences colour, move, set its title or make links, and
those of C1 do so without an escape. Others are not seen at all, or turn the text around them (bidirectional
overrides), so that a line reads other than it is. None of them is shown; each becomes a mark that is seen.
The playground has the same in ``api/playground/page/js/printable.js``.
"""

import re
import unicodedata
from typing import Final

MARK: Final = "\ufffd"
_CUT: Final = "…"
_BLANKS: Final = {"\n": " ", "\t": " "}
_LINES: Final = {"\n": "\n", "\t": "\t"}
_ZERO_WIDTH: Final = frozenset("\u200c\u200d")
_JOINER: Final = "\u200d"
# What may stand in front of a joiner in an emoji: a symbol, a tone of skin, the sign that it is one.
_EMOJI: Final = frozenset(("So", "Sk"))
_EMOJI_SIGN: Final = "\ufe0f"
# Letters without case and their marks: in Arabic, Persian and the scripts of India joiners are spelling.
_JOINED: Final = frozenset(("Lo", "Mn", "Mc"))


def printable(text: str, limit: int | None = None) -> str:
    """Return the text on one line without what is not seen or is taken for an order.

    Line feeds and tabs become blanks; every other control, format, private, unassigned and lone surrogate
    character and each separator of lines becomes :data:`MARK`. Joiners stay where writing needs them: inside
    an emoji, and between letters without case; they neither move nor hide anything there.

    Args:
        text: what somebody wrote.
        limit: most characters; what is longer ends in an ellipsis.
    """
    clean = _clean(text, _BLANKS)
    return clean if limit is None or len(clean) <= limit else clean[: max(0, limit - 1)] + _CUT


def printable_lines(text: str) -> str:
    """Return the same of a text that may have several lines, such as the end of a log."""
    return _clean(text, _LINES)


def is_printable(text: str) -> bool:
    """Whether the text can be shown on one line as it is."""
    return printable(text) == text and "\t" not in text and "\n" not in text


def _clean(text: str, kept: dict[str, str]) -> str:
    if text.isprintable():  # nearly always, and known at once
        return text
    return re.sub(r"[^ -~]", lambda found: _shown(found[0], text, found.start(), kept), text)


def _shown(char: str, text: str, at: int, kept: dict[str, str]) -> str:
    if char in kept:
        return kept[char]
    category = unicodedata.category(char)
    if category[0] != "C" and category not in {"Zl", "Zp"}:
        return char
    return char if char in _ZERO_WIDTH and _joins(char, text[at - 1 : at], text[at + 1 : at + 2]) else MARK


def _joins(char: str, before: str, after: str) -> bool:
    """Whether a joiner between these two is part of how something is written."""
    if not before or not after:
        return False
    left, right = unicodedata.category(before), unicodedata.category(after)
    if left in _JOINED and right in _JOINED and before != _EMOJI_SIGN:
        return True
    return char == _JOINER and right == "So" and (left in _EMOJI or before == _EMOJI_SIGN)
