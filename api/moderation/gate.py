"""Lets through what may be drawn: asks every moderator, and leaves to the policy what is blocked."""

from collections.abc import Sequence
from typing import Final

from api.metrics import BLOCKED
from api.moderation.endpoint import Endpoint
from api.moderation.listed import ListedTerms
from api.moderation.moderator import Moderator, Words
from shared.errors import PromptBlocked
from shared.logs import get_logger
from shared.moderation import Category, Moderation, Policy, Verdict
from shared.settings import ModerationSettings

log = get_logger(__name__)

MESSAGE: Final = "The prompt was blocked by moderation: {}."


class Gate:
    """Every moderator of prompts, in the order in which they are asked."""

    def __init__(self, moderators: Sequence[Moderator], policy: Policy) -> None:
        self._moderators = moderators
        self._policy = policy

    async def admit(self, words: Words, moderation: Moderation) -> None:
        """Return where the words may be drawn.

        Raises:
            PromptBlocked: they may not; the message names categories and nothing of the words.
            ModerationUnavailable: a moderator cannot say now.
        """
        for moderator in self._moderators:
            self._refuse(await moderator.judge(words), moderation, moderator.name)

    def _refuse(self, verdict: Verdict, moderation: Moderation, moderator: str) -> None:
        blocked = self._policy.blocked(verdict, moderation)
        if blocked:
            BLOCKED.labels(moderator=moderator, category=blocked[0].value).inc()
            log.warning("prompt.blocked", moderator=moderator, categories=[each.value for each in blocked])
            raise PromptBlocked(MESSAGE.format(_spoken(blocked)), param="prompt")

    async def close(self) -> None:
        """Close every moderator."""
        for moderator in self._moderators:
            await moderator.close()


def build_gate(settings: ModerationSettings) -> Gate:
    """Build the moderators that are switched on; the cheap one is asked first.

    Raises:
        ConfigurationError: the list of terms cannot be used.
    """
    moderators: list[Moderator] = []
    if settings.prompts:
        moderators.append(ListedTerms(settings.terms))
    if settings.endpoint_url:
        moderators.append(Endpoint(settings.endpoint_url, settings))
    return Gate(moderators, Policy(settings.categories))


def _spoken(categories: Sequence[Category]) -> str:
    return ", ".join(each.value for each in categories)
