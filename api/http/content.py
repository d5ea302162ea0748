"""What a body says of itself: it is read as it is sent, in UTF-8, and as JSON unless its route knows more."""

from collections.abc import Collection, Mapping
from email.message import Message
from typing import Final

from shared.errors import BodyTooLarge, NotJson, UnsupportedCharset, UnsupportedEncoding

JSON: Final = "json"
_UTF_8: Final = frozenset({"utf-8", "utf8"})


def kind_of(headers: Mapping[str, str]) -> str:
    """Return what a body is: ``JSON`` for whatever kind of it the caller names, else its media type."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    return JSON if kind.endswith(JSON) else kind


def check_content(headers: Mapping[str, str], max_bytes: int, kinds: Collection[str] = (JSON,)) -> None:
    """Check what a request says of its body.

    Args:
        headers: by their names in small letters.
        max_bytes: the largest body.
        kinds: what it may be.

    Raises:
        UnsupportedEncoding: it is compressed.
        NotJson: it is something else.
        UnsupportedCharset: it is not in UTF-8.
        BodyTooLarge: it is larger than allowed; a chunked one has no length to go by.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise UnsupportedEncoding(param="Content-Encoding")
    if kind_of(headers) not in kinds:
        raise NotJson
    content_type = headers.get("content-type", "")
    if ";" in content_type and _charset(content_type) not in _UTF_8:
        raise UnsupportedCharset(param="Content-Type")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise BodyTooLarge


def _charset(content_type: str) -> str:
    """Return the charset of a content type, the one that JSON has where it says none."""
    message = Message()
    message["Content-Type"] = content_type
    return str(message.get_content_charset("utf-8")).lower()
