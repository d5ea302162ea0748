"""What the caller of a job should know of its pictures: where they are not quite what was asked for.

Each has a public ``code``, which never changes, and a sentence for people. None of them quotes the caller.
"""

from dataclasses import dataclass
from typing import Final

PROMPT_TRUNCATED: Final = "prompt_truncated"
NEGATIVE_PROMPT_TRUNCATED: Final = "negative_prompt_truncated"
SIZE_RESAMPLED: Final = "size_resampled"
SIZE_EXTENDED: Final = "size_extended"
QUALITY_WITHOUT_EFFECT: Final = "quality_without_effect"
PREVIEWS_UNAVAILABLE: Final = "previews_unavailable"

CODES: Final = (
    PROMPT_TRUNCATED,
    NEGATIVE_PROMPT_TRUNCATED,
    SIZE_RESAMPLED,
    SIZE_EXTENDED,
    QUALITY_WITHOUT_EFFECT,
    PREVIEWS_UNAVAILABLE,
)


@dataclass(frozen=True, slots=True)
class JobWarning:
    """One of them."""

    code: str
    message: str
