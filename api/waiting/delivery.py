"""How the caller wants its result delivered: the headers that say so.

Source: RFC 7240 for ``Prefer``, of which ``respond-async`` and ``wait`` are read; anything else is ignored,
as it says.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Self

from fastapi import Depends, Header, Request

_LONGEST_WAIT_DIGITS = 9

RETRIES: Final = "x-stainless-retry-count"
IDEMPOTENCY_KEY_CHARS: Final = 255


@dataclass(frozen=True)
class Prefer:
    """What the caller prefers. ``wait_s`` is None where it did not say."""

    respond_async: bool = False
    wait_s: int | None = None

    @classmethod
    def parse(cls, header: str) -> Self:
        """Read the header; malformed parts are ignored."""
        respond_async, wait_s = False, None
        for part in header.split(","):
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


class OnDisconnect(StrEnum):
    """What becomes of the job when its caller hangs up: the header ``x-on-disconnect``."""

    GRACE = "grace"
    CANCEL = "cancel"
    CONTINUE = "continue"


@dataclass(frozen=True)
class Delivery:
    """How this caller gets its result: what the headers say."""

    prefer: Prefer
    on_disconnect: OnDisconnect
    idempotency_key: str
    retry: bool = False
    """Whether this repeats an earlier request, as the official client says of one that it sends again."""

    @classmethod
    def parse(cls, prefer: str, idempotency_key: str, on_disconnect: OnDisconnect, retries: str) -> Self:
        """Read the headers."""
        retry = retries.strip("0").isdecimal()
        return cls(Prefer.parse(prefer), on_disconnect, idempotency_key, retry=retry)

    @property
    def waits(self) -> bool:
        """Whether the call waits for the result, be it for a while."""
        return self.prefer.hold_s != 0

    @property
    def keeps(self) -> bool:
        """Whether the job goes on when its caller hangs up."""
        return self.prefer.hold_s is not None or self.on_disconnect is OnDisconnect.CONTINUE


async def delivery(  # a plain function would be called in a thread
    request: Request,
    prefer: Annotated[str, Header(description="`respond-async` or `wait=N`.")] = "",
    idempotency_key: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            max_length=IDEMPOTENCY_KEY_CHARS,
            description="Replays the same job for 24 h.",
        ),
    ] = "",
    x_on_disconnect: Annotated[
        OnDisconnect,
        Header(description="What becomes of the job when you hang up; default: cancelled after a grace."),
    ] = OnDisconnect.GRACE,
) -> Delivery:
    """Read the headers."""
    retries = request.headers.get(RETRIES, "0")
    return Delivery.parse(prefer, idempotency_key, x_on_disconnect, retries)


DeliveryDep = Annotated[Delivery, Depends(delivery)]
