"""Finds the terms of a list in words. The time grows with the number of words, and not with that of terms."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Self

from api.moderation.folding import fold
from api.moderation.readings import Reading, disguised, masked, pieces, spelled
from api.moderation.terms import Phrase, backwards, phrases
from api.moderation.vocabulary import Vocabulary

# Scripts that put no blank between words; there a term is found wherever it stands.
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)


@dataclass
class Signs:
    """What a text has signs of."""

    plain: set[str] = field(default_factory=set)
    joined: set[frozenset[str]] = field(default_factory=set)
    """For each word that was told apart into several: what it has signs of."""
    backwards: set[str] = field(default_factory=set)
    """Signs that are there only if words are read from their ends."""

    def __ior__(self, other: "Signs") -> Self:
        self.plain |= other.plain
        self.joined |= other.joined
        self.backwards |= other.backwards
        return self


class Index:
    """The terms of a list, by their first words."""

    def __init__(self, terms: Iterable[tuple[str, str]]) -> None:
        """Index terms.

        Args:
            terms: each as it is written, with what it is a sign of; an empty sign allows it. A ``*`` at the
                end of a word stands for any ending.
        """
        self._words: dict[str, list[Phrase]] = {}
        # By their first two words: dozens of phrases begin with the same one.
        self._phrases: dict[str, dict[str, list[Phrase]]] = {}
        self._beginnings: dict[str, list[Phrase]] = {}
        self._anywhere: list[tuple[str, str]] = []
        self._vocabulary = Vocabulary()
        for term, sign in terms:
            self._add(term, sign)
        self._lengths = sorted({len(each) for each in self._beginnings})
        # Most words are told apart from every term by their first letters.
        self._head = min(self._lengths, default=0)
        self._heads = {each[: self._head] for each in self._beginnings}

    def signs(self, text: str) -> Signs:
        """Return what a text has signs of."""
        found = Signs()
        for folded in fold(text):
            for reading in self._readings(folded):
                found |= self._signs(reading)
            if not folded.isascii():
                found.plain |= {sign for term, sign in self._anywhere if term in folded}
        return found

    # --- building

    def _add(self, term: str, sign: str) -> None:
        if term.endswith("*"):
            beginning = next(fold(term[:-1]))
            self._beginnings.setdefault(beginning, []).append(Phrase((beginning,), sign))
            self._vocabulary.learn(beginning)
            self._vocabulary.learn_masks(beginning)
        elif _UNSPACED.search(folded := next(fold(term))):
            self._anywhere.append((folded, sign))
        else:
            for phrase in phrases(term, sign):
                self._add_phrase(phrase)
        for phrase in backwards(term, sign):
            self._add_phrase(phrase)

    def _add_phrase(self, phrase: Phrase) -> None:
        if len(phrase.words) == 1:
            self._words.setdefault(phrase.words[0], []).append(phrase)
        else:
            first, second = phrase.words[:2]
            self._phrases.setdefault(first, {}).setdefault(second, []).append(phrase)
        for word in phrase.words:
            self._vocabulary.learn(word, joins=not phrase.backwards)
        if len(phrase.words) == 1 and phrase.sign and not phrase.backwards:
            self._vocabulary.learn_masks(phrase.words[0])

    # --- finding

    def _readings(self, folded: str) -> Iterator[Reading]:
        words = pieces(folded)
        yield Reading(words)
        yield from disguised(folded)
        for letters in spelled(words):
            yield Reading(self._vocabulary.within(letters))
        for mask in masked(folded):
            yield from (Reading([word]) for word in self._vocabulary.masked(mask))

    def _signs(self, reading: Reading) -> Signs:
        parts = self._vocabulary.read(reading.words)
        words = [word for each in parts for word in each]
        hits: list[tuple[int, int, Phrase]] = []
        # Up to where what begins at a word, or before it, is allowed.
        reach = [0] * len(words)
        for start, phrase in self._matches(words):
            end = start + len(phrase.words)
            if phrase.sign:
                hits.append((start, end, phrase))
            else:
                reach[start] = max(reach[start], end)
        return _counted(hits, reach, _Origin(parts, reading.new)) if hits else Signs()

    def _matches(self, words: Sequence[str]) -> Iterator[tuple[int, Phrase]]:
        for start, word in enumerate(words):
            for phrase in self._words.get(word, ()):
                yield start, phrase
            if word in self._phrases and start + 1 < len(words):
                for phrase in self._phrases[word].get(words[start + 1], ()):
                    if tuple(words[start : start + len(phrase.words)]) == phrase.words:
                        yield start, phrase
            for length in self._lengths if word[: self._head] in self._heads else ():
                for phrase in self._beginnings.get(word[:length], ()):
                    yield start, phrase


class _Origin:
    """Which written words the words of a reading come from."""

    def __init__(self, parts: Sequence[Sequence[str]], new: Sequence[bool] | None) -> None:
        self._written = [place for place, each in enumerate(parts) for _ in each]
        self._parts = parts
        self._new = new

    def is_new(self, start: int, end: int) -> bool:
        """Whether any is read otherwise than it is written; else it is found, or allowed, as written."""
        return self._new is None or any(self._new[place] for place in self._written[start:end])

    def joined(self, start: int, end: int) -> int | None:
        """Return the place of the first that is a part of a written word, if there is one."""
        return next((place for place in self._written[start:end] if len(self._parts[place]) > 1), None)


def _counted(hits: Sequence[tuple[int, int, Phrase]], reach: Iterable[int], origin: _Origin) -> Signs:
    """Return the signs of what is not allowed.

    A word that is innocent as it stands, and a term from its end (``Dekan``), counts beside one that is no
    word as it stands: who writes one backwards writes others so.
    """
    reach = list(accumulate(reach, max))
    hits = [hit for hit in hits if origin.is_new(hit[0], hit[1])]
    found, joined, any_backwards = Signs(), defaultdict[int, set[str]](set), False
    for start, end, phrase in hits:
        if end <= reach[start]:
            continue
        if phrase.backwards:
            any_backwards = True
        elif (place := origin.joined(start, end)) is None:
            found.plain.add(phrase.sign)
        else:
            joined[place].add(phrase.sign)
    found.joined = {frozenset(each) for each in joined.values()}
    if any_backwards:
        found.backwards = {phrase.sign for _, _, phrase in hits if phrase.backwards}
    return found
