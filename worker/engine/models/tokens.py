"""Counting a prompt's tokens, and making a long one fit its model."""

from dataclasses import dataclass
from typing import Any

from shared.catalogue import Wording


def count_tokens(tokenizer: Any, text: str) -> int:  # noqa: ANN401 - tokenizers share no base class
    """Count what the model's own tokenizer makes of a text, without special tokens and without a limit."""
    return len(tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])


@dataclass(frozen=True)
class Fitted:
    """What a model reads of a prompt.

    Attributes:
        text: what it is conditioned on.
        tokens: how many the caller's words are.
        read: how many of them, from the first on, are read.
        reads_ending: whether what the template says behind them is read.
    """

    text: str
    tokens: int
    read: int
    reads_ending: bool = True


def fit_prompt(tokenizer: Any, wording: Wording, limit: int) -> Fitted:  # noqa: ANN401
    """Shorten the caller's words, not the template around them, to what the model reads.

    The pipeline would cut the end off, and the template's ending says the style and the transparency.
    """
    before, prompt, after = wording
    if count_tokens(tokenizer, wording.text) <= limit:
        tokens = count_tokens(tokenizer, prompt)
        return Fitted(wording.text, tokens, tokens)
    if not tokenizer.is_fast:
        # It cannot say where its tokens end: the pipeline cuts after all.
        tokens, room = count_tokens(tokenizer, prompt), limit - count_tokens(tokenizer, before)
        return Fitted(wording.text, tokens, max(0, min(tokens, room)), reads_ending=not after)
    ends = _token_ends(tokenizer, prompt)
    kept = min(len(ends), limit)
    # Neighbours change how a text is cut into tokens, so what fits is found by counting.
    while True:
        fitted = before + prompt[: max(ends[:kept], default=0)] + after
        over = count_tokens(tokenizer, fitted) - limit
        if over <= 0 or kept == 0:
            return Fitted(fitted, len(ends), kept)
        kept = max(kept - over, 0)


def _token_ends(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    """Return where each token ends in the text."""
    encoded = tokenizer(
        text, add_special_tokens=False, truncation=False, verbose=False, return_offsets_mapping=True
    )
    return [end for _, end in encoded["offset_mapping"]]
