"""The built-in moderator: a list of terms, and rules for what only several of them together mean."""

import asyncio
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Final

from typing_extensions import override

from api.moderation.index import Index
from api.moderation.moderator import Moderator, Words
from api.moderation.terms import Rule, read, terms
from shared.moderation import Category, Verdict

_ITEMS: Final = re.compile(r"[,;|\n]")
_WORD: Final = re.compile(r"[^\W\d_]+")
_INSTEAD: Final = {
    Category.SEXUAL_MINORS: Category.SEXUAL,
    Category.SEXUAL_VIOLENCE: Category.SEXUAL,
    Category.SELF_HARM_INSTRUCTIONS: Category.SELF_HARM,
    Category.HATE_THREATENING: Category.HATE,
    Category.ILLICIT_VIOLENT: Category.ILLICIT,
}
"""What is found instead of a severe category where words had to be read backwards, which chance does too."""
LONG_CHARS: Final = 4_000
"""Longer texts are read in a thread, one after the other, so that nothing else waits for them."""


class ListedTerms(Moderator):
    """Judges by a list of terms."""

    name = "terms"

    def __init__(self, path: Path) -> None:
        """Read the list.

        Raises:
            ConfigurationError: it cannot be read, or is not what it must be.
        """
        # Only one: many at once would take turns with everything else of the process.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="moderation")
        self._rules, self._index = _learned(path, path.stat().st_mtime_ns if path.exists() else 0)

    @override
    async def judge(self, words: Words) -> Verdict:
        if len(words.prompt) + len(words.negative_prompt) > LONG_CHARS:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self.read, words)
        return self.read(words)

    def read(self, words: Words) -> Verdict:
        """Return what is in the words, at once."""
        signs = self._index.signs(words.prompt)
        # Superman is a man by chance; a word that is to be told apart means something alone.
        plain = signs.plain.union(*(each for each in signs.joined if self._concluded(each)))
        negative = self._index.signs(_single(words.negative_prompt)).plain if plain else set()
        found = self._concluded(plain, negative)
        if signs.backwards:
            more = self._concluded(plain | signs.backwards, negative)
            found |= {_INSTEAD.get(each, each) for each in more - found}
        return Verdict(frozenset(found))

    def _concluded(self, signs: Iterable[str], negative: Iterable[str] = ()) -> set[Category]:
        """Return the categories among signs, and those that follow from them."""
        found, negative = set(signs), set(negative)
        if not found:
            return set()
        for rule in self._rules:
            if _holds(rule, found, negative):
                found.add(rule.category)
        return {each for each in Category if each in found}

    @override
    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=4)
def _learned(path: Path, _changed_ns: int) -> tuple[tuple[Rule, ...], Index]:
    """Return the rules and the terms of a file; learned once, whoever asks, until the file changes."""
    file = read(path)
    return file.rules, Index(terms(file))


def _single(negative: str) -> str:
    """Return the items of a negative prompt that are one word: ``clothes``, but not ``torn clothes``."""
    return ", ".join(item for item in _ITEMS.split(negative) if len(_WORD.findall(item)) == 1)


def _holds(rule: Rule, found: set[str], negative: set[str]) -> bool:
    return found.issuperset(rule.all) and found.isdisjoint(rule.unless) and negative.issuperset(rule.negative)
