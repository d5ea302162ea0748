"""The words of a list, found again in what is not written as they are."""

import re
from itertools import groupby
from typing import Final

_DOUBLED: Final = re.compile(r"(.)\1")
_LONG_RUN: Final = re.compile(r"(.)\1{2,}")
_SHORTEST_WITHIN: Final = 4
"""Within letters that are spelled out, shorter words are found everywhere by chance."""
_SHORTEST_JOINED: Final = 6
"""Two words of three letters; shorter ones are joined to something else by chance."""
_SHORTEST_OUTER: Final = 3
"""Of words without blanks, the first and the last have at least so many letters: button is no butt."""


class Vocabulary:
    """Words that are known."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._skeletons: dict[str, list[str]] = {}
        self._masks: dict[str, list[str]] = {}
        self._heads: set[str] = set()
        self._joining: set[str] = set()
        # By their first two letters, how long words are that join; the longest last.
        self._lengths: dict[str, list[int]] = {}
        self._longest = 0

    def learn(self, word: str, *, joins: bool = True) -> None:
        """Know a word from now on; one that joins is known in a word of several, too."""
        if joins:
            self._joining.add(word)
            self._lengths[word[:2]] = sorted({*self._lengths.get(word[:2], ()), len(word)})
        if word in self._words:
            return
        self._words.add(word)
        self._skeletons.setdefault(_skeleton(word), []).append(word)
        self._heads.add(word[:_SHORTEST_WITHIN])
        self._longest = max(self._longest, len(word))

    def learn_masks(self, word: str) -> None:
        """Know a word also where asterisks hide letters of its middle."""
        for start in range(1, len(word) - 1):
            for end in range(start + 1, len(word)):
                self._masks.setdefault(word[:start] + "*" * (end - start) + word[end:], []).append(word)

    def masked(self, mask: str) -> list[str]:
        """Return the words that a mask may hide."""
        return self._masks.get(mask, [])

    def read(self, words: list[str]) -> list[list[str]]:
        """Return for each word those that it is: itself, a known one with letters repeated, or several."""
        strange = {word: self._recognized(word) for word in {*words} - self._words}
        return [strange.get(word) or [word] for word in words]

    def within(self, letters: str) -> list[str]:
        """Return the known words that letters without blanks contain; the longest first, left to right."""
        if letters in self._words:
            return [letters]
        found, at = [], 0
        while at < len(letters):
            word = self._at(letters, at)
            found += [word] if word else []
            at += len(word) or 1
        return found

    def _recognized(self, word: str) -> list[str]:
        plain = self._undoubled(word)
        if plain in self._words or len(plain) < _SHORTEST_JOINED:
            return [plain]
        return self._joined(plain) or [plain]

    def _undoubled(self, word: str) -> str:
        """Return the known word that this one is with letters repeated, or the word without long repeats."""
        if not _DOUBLED.search(word):
            return word
        for candidate in self._skeletons.get(_skeleton(word), ()):
            if all(mine >= its for mine, its in zip(_runs(word), _runs(candidate), strict=True)):
                return candidate
        return _LONG_RUN.sub(r"\1", word)

    def _joined(self, word: str) -> list[str]:
        """Return the known words that a word is made of from end to end; none where letters are left over."""
        began, ends, whole = {0: 0}, [0], len(word)
        # Each end is gone on from once, so the time is in proportion to the letters.
        while ends and whole not in began:
            at = ends.pop()
            for length in self._lengths.get(word[at : at + 2], ()):
                end = at + length
                long = length >= _SHORTEST_OUTER or (at > 0 and end < whole)
                if long and end not in began and word[at:end] in self._joining:
                    began[end] = at
                    ends.append(end)
        parts, end = [], whole if whole in began else 0
        while end:
            parts.append(word[began[end] : end])
            end = began[end]
        return parts[::-1]

    def _at(self, letters: str, at: int) -> str:
        if letters[at : at + _SHORTEST_WITHIN] not in self._heads:
            return ""
        for length in range(min(self._longest, len(letters) - at), _SHORTEST_WITHIN - 1, -1):
            if letters[at : at + length] in self._words:
                return letters[at : at + length]
        return ""


def _skeleton(word: str) -> str:
    return "".join(letter for letter, _ in groupby(word))


def _runs(word: str) -> list[int]:
    return [len(list(run)) for _, run in groupby(word)]
