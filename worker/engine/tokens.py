"""Counting a prompt's tokens, and making a long one fit its model."""

from typing import Any


def count_tokens(tokenizer: Any, text: str) -> int:  # noqa: ANN401 - tokenizers share no base class
    """Count what the model's own tokenizer makes of a text, without special tokens and without a limit."""
    return len(tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])


def fit_prompt(tokenizer: Any, prompt: str, conditioning_prompt: str, limit: int) -> str:  # noqa: ANN401
    """Shorten the caller's words, not the template around them, to what the model reads.

    The pipeline would cut the end off, and the template's ending says the style and the transparency.
    """
    if count_tokens(tokenizer, conditioning_prompt) <= limit or not tokenizer.is_fast:
        return conditioning_prompt
    before, _, after = conditioning_prompt.partition(prompt)
    ends = _token_ends(tokenizer, prompt)
    kept = min(len(ends), limit)
    # Neighbours change how a text is cut into tokens, so what fits is found by counting.
    while True:
        fitted = before + prompt[: max(ends[:kept], default=0)] + after
        over = count_tokens(tokenizer, fitted) - limit
        if over <= 0 or kept == 0:
            return fitted
        kept = max(kept - over, 0)


def _token_ends(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    """Return where each token ends in the text."""
    encoded = tokenizer(
        text, add_special_tokens=False, truncation=False, verbose=False, return_offsets_mapping=True
    )
    return [end for _, end in encoded["offset_mapping"]]
