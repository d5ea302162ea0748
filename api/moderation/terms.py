"""The list of terms: read from a file, checked, and with every form of a term spelled out."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from api.moderation.folding import fold
from api.moderation.readings import pieces
from shared.errors import ConfigurationError
from shared.moderation import Category

AGE: Final = "{age}"
"""Stands for every age below 18, in digits and in words."""
_AGES: Final = (
    *map(str, range(1, 18)),
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
)
_ES: Final = ("s", "x", "z", "ch", "sh")
_SHORTEST_PLURAL: Final = 3
_SHORTEST_BACKWARDS: Final = 4

Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Rule(BaseModel):
    """A category that follows from several groups together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: Category
    all: tuple[str, ...] = Field(min_length=1)
    """Groups or categories, each of which must be found."""
    negative: tuple[str, ...] = ()
    """Groups that must be found in the negative prompt besides."""
    unless: tuple[str, ...] = ()
    """Groups of which none may be found."""


class TermFile(BaseModel):
    """A file of terms, as its head explains it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    categories: dict[Category, tuple[Term, ...]] = Field(default_factory=dict)
    groups: dict[str, tuple[Term, ...]] = Field(default_factory=dict)
    allow: tuple[Term, ...] = ()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _terms_have_words(self) -> Self:
        for term, _ in terms(self):
            stars = term.count("*")
            if not pieces(next(fold(term))) or stars > 1 or (stars and not term[:-1].isalpha()):
                msg = f"{term!r} has no letters, or a * that does not end a single word"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _rules_name_what_there_is(self) -> Self:
        known = {*self.groups, *Category}
        for rule in self.rules:
            unknown = {*rule.all, *rule.negative, *rule.unless} - known
            if unknown:
                msg = f"a rule for {rule.category} names no group or category: {', '.join(sorted(unknown))}"
                raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Phrase:
    """Words in a row, and what they are a sign of; ``sign`` is empty where they are allowed."""

    words: tuple[str, ...]
    sign: str
    backwards: bool = False
    """Whether the words are written from their ends."""


def read(path: Path) -> TermFile:
    """Read a file of terms.

    Raises:
        ConfigurationError: it cannot be read, or is not what it must be.
    """
    try:
        return TermFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"the list of terms {path} cannot be read: {error}"
        raise ConfigurationError(message) from error
    except ValidationError as error:
        # Where it is wrong, not what stands there: this goes to a log.
        where = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        message = f"the list of terms {path} is wrong: {where}"
        raise ConfigurationError(message) from error


def terms(file: TermFile) -> Iterator[tuple[str, str]]:
    """Yield each term as it is written, and what it is a sign of."""
    for sign, written in (*file.categories.items(), *file.groups.items(), ("", file.allow)):
        yield from ((term, str(sign)) for term in written)


def phrases(term: str, sign: str) -> Iterator[Phrase]:
    """Yield every form of a term: each age that it may name, singular and plural."""
    for age in _AGES if AGE in term else ("",):
        words = tuple(pieces(next(fold(term.replace(AGE, age)))))
        for last in _numbers(words[-1]) if words else ():
            yield Phrase((*words[:-1], last), sign)


def backwards(term: str, sign: str) -> Iterator[Phrase]:
    """Yield every form of a term with its words written backwards, in their order and the other way."""
    if not sign or AGE in term:
        return
    for phrase in phrases(term.removesuffix("*"), sign):
        words = tuple(word[::-1] for word in phrase.words)
        # Short words, and those of other scripts, are innocent ones from the other end too often.
        if max(map(len, words)) >= _SHORTEST_BACKWARDS and all(map(_is_latin, words)):
            yield from (Phrase(each, sign, backwards=True) for each in {words, words[::-1]} - {phrase.words})


def _is_latin(word: str) -> bool:
    return word.isascii() and word.isalpha()


def _numbers(word: str) -> Iterator[str]:
    """Yield a word, and what English makes of more than one."""
    yield word
    if len(word) < _SHORTEST_PLURAL or not _is_latin(word):
        return
    yield word + "s"
    if word.endswith(_ES):
        yield word + "es"
    if word.endswith("y"):
        yield word[:-1] + "ies"
