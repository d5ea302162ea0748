"""The prompts with what should become of them, and what the built-in list makes of them."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from api.moderation.listed import ListedTerms
from api.moderation.moderator import Words
from shared.moderation import Category, Moderation, Policy
from shared.settings import ModerationSettings

PROMPTS: Final = Path(__file__).with_name("prompts.toml")
HARMLESS: Final = "harmless"

Row = tuple[str, ...]


class Group(BaseModel):
    """Prompts of which the same is to be said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: Category | Literal["harmless"]
    how: Literal["plain", "borderline", "disguised"]
    blocked: tuple[Moderation, ...]
    prompts: tuple[str, ...]
    held_out: bool = False


@dataclass(frozen=True)
class Judged:
    """A prompt: where it should be blocked, and where it is."""

    prompt: str
    about: str
    how: str
    held_out: bool
    should: frozenset[Moderation]
    is_: frozenset[Moderation]

    def is_hit(self, moderation: Moderation) -> bool:
        """Whether it is blocked, and should be."""
        return moderation in self.should & self.is_

    def is_miss(self, moderation: Moderation) -> bool:
        """Whether it should be blocked, and is not."""
        return moderation in self.should - self.is_

    def is_false_alarm(self, moderation: Moderation) -> bool:
        """Whether it is blocked, and should not be."""
        return moderation in self.is_ - self.should


def groups() -> tuple[Group, ...]:
    """Return the committed prompts."""
    return tuple(map(Group.model_validate, tomllib.loads(PROMPTS.read_text(encoding="utf-8"))["group"]))


def judge_all() -> list[Judged]:
    """Let the built-in list judge every prompt."""
    terms, policy = ListedTerms(ModerationSettings().terms), Policy()
    judged = []
    for group in groups():
        for prompt in group.prompts:
            verdict = terms.read(Words(prompt))
            blocked = frozenset(each for each in Moderation if policy.blocked(verdict, each))
            judged.append(
                Judged(prompt, group.about, group.how, group.held_out, frozenset(group.blocked), blocked)
            )
    return judged


def score_rows() -> Iterator[Row]:
    """Yield, by what prompts are about and how they say it: how many, hits, misses, false alarms."""
    judged = judge_all()
    for about in dict.fromkeys(each.about for each in judged):
        for how in ("plain", "borderline", "disguised"):
            chosen = [each for each in judged if (each.about, each.how) == (about, how) and not each.held_out]
            if chosen:
                yield (f"`{about}`" if about != HARMLESS else about, how, *_scores(chosen))
    yield ("all of these", "", *_scores([each for each in judged if not each.held_out]))
    held_out = [each for each in judged if each.held_out]
    yield (HARMLESS, "held out", *_scores([each for each in held_out if not each.should]))
    yield ("all else", "held out", *_scores([each for each in held_out if each.should]))


def wrong_rows() -> Iterator[Row]:
    """Yield every prompt that the list is wrong about."""
    for each in judge_all():
        wrong = [
            f"{what} at `{moderation}`"
            for moderation in Moderation
            for what, is_so in (
                ("missed", each.is_miss(moderation)),
                ("false alarm", each.is_false_alarm(moderation)),
            )
            if is_so
        ]
        if wrong:
            about = f"{each.about}, held out" if each.held_out else each.about
            yield each.prompt, about, ", ".join(wrong)


def _scores(judged: Sequence[Judged]) -> Iterator[str]:
    yield str(len(judged))
    for moderation in Moderation:
        yield str(sum(each.is_hit(moderation) for each in judged))
        yield str(sum(each.is_miss(moderation) for each in judged))
        yield str(sum(each.is_false_alarm(moderation) for each in judged))


SCORE_HEADS: Final = (
    "about",
    "how",
    "prompts",
    *(f"`{m.value}` {what}" for m in Moderation for what in ("hits", "misses", "false alarms")),
)
WRONG_HEADS: Final = ("prompt", "about", "what went wrong")
