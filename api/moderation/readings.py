"""The ways in which a text can be read as words, so that disguised ones are found too."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

# Runs of letters, and runs of digits: 9yo is two words.
_PIECES: Final = re.compile(r"[^\W\d_]+|\d+")
_LEET: Final = str.maketrans(
    {
        "0": "o",
        "1": "i",
        "2": "z",
        "3": "e",
        "4": "a",
        "5": "s",
        "6": "g",
        "7": "t",
        "8": "b",
        "9": "g",
        "@": "a",
        "$": "s",
        "!": "i",
        "|": "i",
        "+": "t",
        "€": "e",
        "¢": "c",
        "£": "l",
    }
)
_HIDDEN: Final = str.maketrans("#%", "**")
_SIGNS: Final = frozenset("@$!|+€¢£")
_ALSO_L: Final = re.compile(r"[1!|]")
_AS_L: Final = str.maketrans("1!|", "lll")
_EDGES: Final = ".,;:!?()[]{}<>\"'`*_-~/\\…„“”‚‘’«»"  # noqa: RUF001 - quotation marks as people type them
_SPELLED: Final = 3
"""So many single letters in a row are a word that is spelled out."""
_MASKED: Final = re.compile(r"[^\W\d_][*#%]")


class Reading(NamedTuple):
    """A text as words."""

    words: list[str]
    new: list[bool] | None = None
    """Which of them are read otherwise than they are written; None where that makes no difference."""


def pieces(text: str) -> list[str]:
    """Return the words that are written: letters without what stands between them."""
    return _PIECES.findall(text)


def disguised(text: str) -> Iterator[Reading]:
    """Yield what is between blanks read otherwise: digits as letters, and what parts letters left out."""
    cores = _cores(text)
    new = [not _is_plain(core) for core in cores]
    if not any(new):
        return
    yield Reading([_undisguised(core) for core in cores], new)
    if _ALSO_L.search(text):
        yield Reading([_undisguised(core.translate(_AS_L)) for core in cores], new)


def masked(text: str) -> set[str]:
    """Return what is between blanks and has letters hidden: ``n*de``."""
    if not _MASKED.search(text):
        return set()
    return {core.translate(_HIDDEN) for core in _cores(text) if _MASKED.search(core)}


def _cores(text: str) -> list[str]:
    return [core for chunk in text.split() if (core := chunk.strip(_EDGES))]


def _is_plain(core: str) -> bool:
    return core.isalpha() or _is_number(core)


def _is_number(core: str) -> bool:
    """Whether more of it is digits than what may stand for letters: 8.8008, 53x and 45s are numbers."""
    digits = sum(map(str.isdigit, core))
    return digits > sum(each.isalpha() or each in _SIGNS for each in core)


def _undisguised(core: str) -> str:
    return core if _is_plain(core) else "".join(filter(str.isalpha, core.translate(_LEET)))


def spelled(words: Sequence[str]) -> Iterator[str]:
    """Yield each run of single letters, joined: ``s e x``."""
    for alone, run in groupby(words, lambda word: len(word) == 1):
        letters = "".join(run) if alone else ""
        if len(letters) >= _SPELLED and not _is_number(letters):
            yield letters.translate(_LEET)
