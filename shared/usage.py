"""Token counts as the documented service bills them."""

from shared.params import Params, Quality

# Source: OpenAI's published output-token formula for image models; the factor is tokens along the short side.
_SHORT_SIDE_TOKENS = {Quality.LOW: 16, Quality.MEDIUM: 48, Quality.HIGH: 96}


def output_tokens(width: int, height: int, quality: Quality) -> int:
    """Return the output tokens of one image.

    Args:
        width: pixels.
        height: pixels.
        quality: low, medium or high.
    """
    short_tokens = _SHORT_SIDE_TOKENS[quality]
    short, long = min(width, height), max(width, height)
    long_tokens = (2 * short_tokens * short + long) // (2 * long)
    # Rounded up in whole numbers: a float would be off by one for large images.
    return -(-short_tokens * long_tokens * (2_000_000 + width * height) // 4_000_000)


def usage(params: Params, text_tokens: int) -> dict[str, object]:
    """Return the ``usage`` member of the documented response. A picture that is sent counts as a drawn one.

    Args:
        params: what was drawn.
        text_tokens: what the model's own tokenizer counts for the prompt.
    """
    looked_at = sum(output_tokens(*size, params.quality) for size in params.input_sizes)
    drawn = params.n * output_tokens(params.width, params.height, params.quality)
    return {
        "input_tokens": text_tokens + looked_at,
        "input_tokens_details": {"image_tokens": looked_at, "text_tokens": text_tokens},
        "output_tokens": drawn,
        "total_tokens": text_tokens + looked_at + drawn,
    }
