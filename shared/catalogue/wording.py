"""The words that a model is conditioned on: the caller's within those of the model's templates."""

from typing import NamedTuple


class Wording(NamedTuple):
    """A prompt with what stands before and after it, so that nobody has to look for the seam."""

    before: str
    words: str
    """The caller's own; only they are counted as tokens."""
    after: str

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.before}{self.words}{self.after}"
