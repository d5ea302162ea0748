"""Finds the terms of a list in words. The time grows with the number of words, and not with that of terms."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import Final

from api.moderation.folding import fold
from api.moderation.readings import disguised, pieces, spelled
from api.moderation.terms import Phrase, phrases

_DOUBLED: Final = re.compile(r"(.)\1")
_LONG_RUN: Final = re.compile(r"(.)\1{2,}")
_SHORTEST_WITHIN: Final = 4
"""Within letters that are spelled out, shorter words are found everywhere by chance."""
# Scripts that put no blank between words; there a term is found wherever it stands.
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)


class Index:
    """The terms of a list, by their first words."""

    def __init__(self, terms: Iterable[tuple[str, str]]) -> None:
        """Index terms.

        Args:
            terms: each as it is written, with what it is a sign of; an empty sign allows it. A ``*`` at the
                end of a word stands for any ending.
        """
        self._phrases: dict[str, list[Phrase]] = {}
        self._beginnings: dict[str, list[Phrase]] = {}
        self._anywhere: list[tuple[str, str]] = []
        self._words: set[str] = set()
        self._skeletons: dict[str, list[str]] = {}
        for term, sign in terms:
            self._add(term, sign)
        self._lengths = sorted({len(each) for each in self._beginnings})
        self._longest = max(map(len, self._words), default=0)
        # Most words are told apart from every term by their first letters.
        self._head = min(self._lengths, default=0)
        self._heads = {each[: self._head] for each in self._beginnings}
        self._heads_within = {each[:_SHORTEST_WITHIN] for each in self._words}

    def signs(self, text: str) -> set[str]:
        """Return what a text has signs of."""
        found: set[str] = set()
        for folded in fold(text):
            words = pieces(folded)
            for reading in (words, *disguised(folded), *map(self._within, spelled(words))):
                found |= self._signs(reading)
            if not folded.isascii():
                found |= {sign for term, sign in self._anywhere if term in folded}
        return found

    # --- building

    def _add(self, term: str, sign: str) -> None:
        if term.endswith("*"):
            beginning = next(fold(term[:-1]))
            self._beginnings.setdefault(beginning, []).append(Phrase((beginning,), sign))
            self._learn(beginning)
        elif _UNSPACED.search(folded := next(fold(term))):
            self._anywhere.append((folded, sign))
        else:
            for phrase in phrases(term, sign):
                self._phrases.setdefault(phrase.words[0], []).append(phrase)
                for word in phrase.words:
                    self._learn(word)

    def _learn(self, word: str) -> None:
        if word not in self._words:
            self._words.add(word)
            self._skeletons.setdefault(_skeleton(word), []).append(word)

    # --- finding

    def _signs(self, words: Sequence[str]) -> set[str]:
        known = [word if word in self._words else self._undoubled(word) for word in words]
        hits: list[tuple[int, int, str]] = []
        # Up to where what begins at a word, or before it, is allowed.
        reach = [0] * len(known)
        for start, phrase in self._matches(known):
            end = start + len(phrase.words)
            if phrase.sign:
                hits.append((start, end, phrase.sign))
            else:
                reach[start] = max(reach[start], end)
        if hits:
            reach = list(accumulate(reach, max))
        return {sign for start, end, sign in hits if end > reach[start]}

    def _matches(self, words: Sequence[str]) -> Iterator[tuple[int, Phrase]]:
        for start, word in enumerate(words):
            for phrase in self._phrases.get(word, ()):
                length = len(phrase.words)
                if length == 1 or tuple(words[start : start + length]) == phrase.words:
                    yield start, phrase
            for length in self._lengths if word[: self._head] in self._heads else ():
                for phrase in self._beginnings.get(word[:length], ()):
                    yield start, phrase

    def _undoubled(self, word: str) -> str:
        """Return the term's word that this one is with letters repeated, or the word without long repeats."""
        if not _DOUBLED.search(word):
            return word
        for candidate in self._skeletons.get(_skeleton(word), ()):
            if all(mine >= its for mine, its in zip(_runs(word), _runs(candidate), strict=True)):
                return candidate
        return _LONG_RUN.sub(r"\1", word)

    def _within(self, letters: str) -> list[str]:
        """Return the terms' words that letters without blanks contain; the longest first, left to right."""
        if letters in self._words:
            return [letters]
        found, at = [], 0
        while at < len(letters):
            word = self._at(letters, at)
            found += [word] if word else []
            at += len(word) or 1
        return found

    def _at(self, letters: str, at: int) -> str:
        if letters[at : at + _SHORTEST_WITHIN] not in self._heads_within:
            return ""
        for length in range(min(self._longest, len(letters) - at), _SHORTEST_WITHIN - 1, -1):
            if letters[at : at + length] in self._words:
                return letters[at : at + length]
        return ""


def _skeleton(word: str) -> str:
    return "".join(letter for letter, _ in groupby(word))


def _runs(word: str) -> list[int]:
    return [len(list(run)) for _, run in groupby(word)]
