"""What moderation is made of: categories, how severe each is, and verdicts.

Verdicts say what was found; the policy alone says what is blocked. Who gives them is known on each side:
prompts are judged by the API (``api/moderation``), pictures by the worker (``worker/inspection.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Moderation(StrEnum):
    """How strictly a job is moderated, as its caller chooses."""

    LOW = "low"
    AUTO = "auto"


class Category(StrEnum):
    """What can be found. OpenAI's names, with underscores, and ``sexual_violence``."""

    SEXUAL_MINORS = "sexual_minors"
    SEXUAL_VIOLENCE = "sexual_violence"
    SELF_HARM_INSTRUCTIONS = "self_harm_instructions"
    HATE_THREATENING = "hate_threatening"
    ILLICIT_VIOLENT = "illicit_violent"
    SEXUAL = "sexual"
    VIOLENCE_GRAPHIC = "violence_graphic"
    VIOLENCE = "violence"
    SELF_HARM = "self_harm"
    HATE = "hate"
    HARASSMENT = "harassment"
    ILLICIT = "illicit"
    OTHER = "other"
    """What an endpoint found and has no name here."""


class Severity(StrEnum):
    """What a category's finding leads to: blocked always, blocked with ``auto``, or ignored."""

    SEVERE = "severe"
    GENERAL = "general"
    OFF = "off"


SEVERE: Final = frozenset(
    {
        Category.SEXUAL_MINORS,
        Category.SEXUAL_VIOLENCE,
        Category.SELF_HARM_INSTRUCTIONS,
        Category.HATE_THREATENING,
        Category.ILLICIT_VIOLENT,
    }
)
"""Severe unless the operator says otherwise; every other category is general."""


@dataclass(frozen=True)
class Verdict:
    """What a moderator found; nothing where it found nothing."""

    found: frozenset[Category] = frozenset()


class Policy:
    """What is blocked, by category."""

    def __init__(self, overrides: Mapping[Category, Severity] | None = None) -> None:
        """Begin with the severities that are built in.

        Args:
            overrides: the operator's own, by category.
        """
        built_in = {each: Severity.SEVERE if each in SEVERE else Severity.GENERAL for each in Category}
        self._severities = {**built_in, **(overrides or {})}

    def blocks(self, category: Category, moderation: Moderation) -> bool:
        """Whether a finding of this category is blocked for a job moderated like this."""
        severity = self._severities[category]
        return severity is Severity.SEVERE or (severity is Severity.GENERAL and moderation is Moderation.AUTO)

    def blocked(self, verdict: Verdict, moderation: Moderation) -> tuple[Category, ...]:
        """Return the categories of a verdict that are blocked, the gravest first."""
        return tuple(each for each in Category if each in verdict.found and self.blocks(each, moderation))
