"""Who judges what is asked for."""

from dataclasses import dataclass
from typing import Protocol

from shared.moderation import Verdict


@dataclass(frozen=True)
class Words:
    """The texts of a request."""

    prompt: str
    negative_prompt: str = ""
    """What is not to be drawn: a word in it does not mean what it means in a prompt."""


class Moderator(Protocol):
    """Judges what is asked for."""

    name: str
    """In logs and metrics."""

    async def judge(self, words: Words) -> Verdict:
        """Return what is in the words.

        Raises:
            ModerationUnavailable: it cannot say now, and without its word nothing may be drawn.
        """

    async def close(self) -> None:
        """Give back what it holds."""
