"""Traces of what happens to a request, from HTTP through the queue into the engine, for a collector.

Off unless a collector is named, and then as good as not there: nothing is imported, kept or sent. Configured
once a process, like logs. Sending happens on a thread of its own, from a queue that is bounded; where the
collector is away, slow or worse, traces are lost and nothing else is.
"""

from dataclasses import dataclass
from typing import Any

from shared.errors import ConfigurationError
from shared.settings import TracingSettings
from shared.tracing.spans import NO_SPAN, Attributes, Kind, Span, Tracer

__all__ = [
    "NO_SPAN",
    "Attributes",
    "Kind",
    "Span",
    "close",
    "configure",
    "current",
    "enabled",
    "provider",
    "resumed",
]


@dataclass
class _Process:
    """What this process traces with."""

    tracer: Tracer


_OFF = Tracer()
_process = _Process(_OFF)


def configure(settings: TracingSettings, service: str, instance: str = "") -> None:
    """Trace from now on, where the settings say so.

    Args:
        settings: where to and how much.
        service: what this process is, as traces name it.
        instance: which one of them; by default its host and process id.

    Raises:
        ConfigurationError: the endpoint is none, or what is needed to trace is not installed.
    """
    close()
    if not settings.endpoint:
        return
    try:
        # Here, so that a process that does not trace never imports it.
        from shared.tracing.otel import OtelTracer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = (
            f"DARKROOM_TRACING__ENDPOINT is set, and {error.name} is not installed: install the extra "
            "`tracing` (pip install --constraint constraints.txt '.[tracing]'), or leave the endpoint empty"
        )
        raise ConfigurationError(message) from error
    _process.tracer = OtelTracer(settings, service, instance)


def enabled() -> bool:
    """Whether this process traces."""
    return _process.tracer is not _OFF


def provider() -> Any:  # noqa: ANN401 - of a class that is not known here
    """Return what libraries that trace by themselves are given; None where nobody traces."""
    return _process.tracer.provider


def current() -> Span:
    """Return the span of the request that is being answered."""
    return _process.tracer.current()


def resumed(carrier: str) -> Span:
    """Return the span that ``carrier`` stands for, to begin others in; an empty one: a new trace."""
    return _process.tracer.resumed(carrier)


def close() -> None:
    """Send what was not sent yet, within two seconds, and trace no more."""
    tracer, _process.tracer = _process.tracer, _OFF
    tracer.close()
