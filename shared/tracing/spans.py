"""What the service says to a trace, and what answers while nobody traces: nothing, at the cost of a call."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType, TracebackType
from typing import Final, Self

Attributes = Mapping[str, str | int | float]
NO_ATTRIBUTES: Final[Attributes] = MappingProxyType({})


class Kind(Enum):
    """What a span is to others, by OpenTelemetry's names."""

    INTERNAL = "internal"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span:
    """A stretch of time in a trace. This one is in none.

    As a context manager it ends with its block, as failed where that raises. Instants are in ns since 1970.
    """

    @property
    def carrier(self) -> str:
        """What takes the trace to another process: a W3C ``traceparent``; empty where nobody traces."""
        return ""

    @property
    def ids(self) -> dict[str, str]:
        """``trace_id`` and ``span_id`` as logs have them; nothing where nobody traces."""
        return {}

    @property
    def recording(self) -> bool:
        """Whether what is said of it is kept; not where nobody traces, nor in a trace that is left out."""
        return False

    def begin(
        self,
        name: str,
        *,
        kind: Kind = Kind.INTERNAL,
        at_ns: int | None = None,
        about: Attributes = NO_ATTRIBUTES,
    ) -> "Span":
        """Begin a span within this one.

        Args:
            name: what happens in it; one of few.
            kind: what it is to others.
            at_ns: when it began; by default now.
            about: what it is about; never what a caller wrote.
        """
        del name, kind, at_ns, about
        return self

    def note(self, about: Attributes) -> None:
        """Add to what it is about."""

    def take(self, method: str, route: str) -> None:
        """Name it, the span of a request, by the route that takes it."""

    def link(self, carrier: str) -> None:
        """Point to a span of another trace."""

    def fail(self, reason: str) -> None:
        """Say that it went wrong; ``reason`` is a code or the name of an error."""

    def end(self, at_ns: int | None = None) -> None:
        """End it, by default now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is merely given up (a caller who left, a task that was cancelled) has not failed.
        if isinstance(error, Exception):
            self.fail(type(error).__name__)
        self.end()


NO_SPAN: Final = Span()


class Tracer:
    """Where spans come from. This one has none."""

    provider: object | None = None
    """What libraries that trace by themselves are given."""

    def current(self) -> Span:
        """Return the span of the request that is being answered."""
        return NO_SPAN

    def resumed(self, carrier: str) -> Span:
        """Return the span of another process, to begin others in; they begin a trace where there is none."""
        del carrier
        return NO_SPAN

    def close(self) -> None:
        """Send what was not sent yet, within a bound, and trace no more."""
