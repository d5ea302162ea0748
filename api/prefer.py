"""The ``Prefer`` header: how the caller wants its result delivered.

Source: RFC 7240, of which ``respond-async`` and ``wait`` are read; anything else is ignored, as it says.
"""

from dataclasses import dataclass
from typing import Self

_LONGEST_WAIT_DIGITS = 9


@dataclass(frozen=True)
class Prefer:
    """What the caller prefers. ``wait_s`` is None where it did not say."""

    respond_async: bool = False
    wait_s: int | None = None

    @classmethod
    def parse(cls, header: str | None) -> Self:
        """Read the header; malformed parts are ignored."""
        respond_async, wait_s = False, None
        for part in (header or "").split(","):
            name, _, value = part.split(";")[0].partition("=")
            name, value = name.strip().lower(), value.strip().strip('"')
            if name == "respond-async":
                respond_async = True
            elif (
                name == "wait" and value.isascii() and value.isdigit() and len(value) <= _LONGEST_WAIT_DIGITS
            ):
                wait_s = int(value)
        return cls(respond_async, wait_s)

    @property
    def applied(self) -> str:
        """The value of ``Preference-Applied``."""
        parts = ["respond-async"] if self.respond_async else []
        if self.wait_s is not None:
            parts.append(f"wait={self.wait_s}")
        return ", ".join(parts)

    @property
    def hold_s(self) -> float | None:
        """Seconds to hold the call before it becomes a 202; None: hold it for its result, never a 202."""
        if self.wait_s is not None:
            return float(self.wait_s)
        return 0.0 if self.respond_async else None
