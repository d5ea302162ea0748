"""Classes of text lengths: rows whose texts are of about one length share a forward pass."""

SHORTEST = 32


def text_class(tokens: int) -> int:
    """Return the class of a text: the next power of two of its tokens, at least 32."""
    return max(SHORTEST, 1 << (tokens - 1).bit_length())
