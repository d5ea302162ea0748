"""OpenTelemetry: the one module that knows it, imported only where a collector is named."""

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers
from typing_extensions import override

from shared.errors import ConfigurationError
from shared.logs import get_logger
from shared.settings import TracingSettings
from shared.tracing.spans import NO_ATTRIBUTES, Attributes, Kind, Span, Tracer

log = get_logger(__name__)

# Spans that wait to be sent; when there are more, the oldest are lost.
QUEUED: Final = 4096
BATCH: Final = 256
SEND_EVERY_MS: Final = 500
# How long a batch may take, with everything that is tried again.
SEND_TIMEOUT_S: Final = 5.0
# How long a process that stops waits for its last spans to be taken.
CLOSE_S: Final = 2.0
# What one span may hold, whatever a caller sent.
LIMITS: Final = SpanLimits(
    max_span_attributes=32, max_attribute_length=256, max_links=4, max_events=4, max_event_attributes=4
)
TRACES_PATH: Final = "/v1/traces"
COMPLAIN_EVERY_S: Final = 60.0

_KINDS: Final = MappingProxyType({kind: trace.SpanKind[kind.name] for kind in Kind})
_W3C: Final = TraceContextTextMapPropagator()


class OtelSpan(Span):
    """A span that is told."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    @override
    def carrier(self) -> str:
        carried: dict[str, str] = {}
        _W3C.inject(carried, self._context)
        return carried.get("traceparent", "")

    @property
    @override
    def ids(self) -> dict[str, str]:
        context = self._span.get_span_context()
        if not context.is_valid:
            return {}
        return {
            "trace_id": trace.format_trace_id(context.trace_id),
            "span_id": trace.format_span_id(context.span_id),
        }

    @property
    @override
    def recording(self) -> bool:
        return self._span.is_recording()

    @override
    def begin(
        self,
        name: str,
        *,
        kind: Kind = Kind.INTERNAL,
        at_ns: int | None = None,
        about: Attributes = NO_ATTRIBUTES,
    ) -> Span:
        begun = self._tracer.start_span(
            name, context=self._context, kind=_KINDS[kind], attributes=about, start_time=at_ns
        )
        return OtelSpan(self._tracer, begun)

    @override
    def note(self, about: Attributes) -> None:
        self._span.set_attributes(about)

    @override
    def take(self, method: str, route: str) -> None:
        self._span.update_name(f"{method} {route}")
        self._span.set_attribute("http.route", route)

    @override
    def link(self, carrier: str) -> None:
        context = _context_of(carrier)
        if context.is_valid:
            self._span.add_link(context)

    @override
    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason)
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, reason))

    @override
    def end(self, at_ns: int | None = None) -> None:
        self._span.end(at_ns)

    @property
    def _context(self) -> Context:
        return trace.set_span_in_context(self._span, Context())


class OtelTracer(Tracer):
    """Sends spans to a collector by OTLP over HTTP."""

    def __init__(self, settings: TracingSettings, service: str, instance: str) -> None:
        """Start the thread that sends.

        Args:
            settings: where to and how much.
            service: what this process is.
            instance: which one of them.

        Raises:
            ConfigurationError: the endpoint is none.
        """
        exporter = OTLPSpanExporter(
            endpoint=address(settings.endpoint),
            headers=parse_env_headers(settings.headers.get_secret_value(), liberal=True),
            timeout=SEND_TIMEOUT_S,
            session=Session(),
        )
        _complain_seldom()
        resource = {
            "service.name": service,
            "service.namespace": "darkroom",
            "service.instance.id": instance or f"{socket.gethostname()}:{os.getpid()}",
        }
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
            resource=Resource.create(resource),
            shutdown_on_exit=False,
            span_limits=LIMITS,
        )
        self._provider.add_span_processor(WithoutQueries())
        self._provider.add_span_processor(BatchSpanProcessor(exporter, QUEUED, SEND_EVERY_MS, BATCH))
        self._tracer = self._provider.get_tracer("darkroom")
        self.provider = self._provider

    @override
    def current(self) -> Span:
        return OtelSpan(self._tracer, trace.get_current_span())

    @override
    def resumed(self, carrier: str) -> Span:
        return OtelSpan(self._tracer, trace.NonRecordingSpan(_context_of(carrier)))

    @override
    def close(self) -> None:
        # The library's own shutdown waits for up to half a minute, whatever it is asked.
        closing = threading.Thread(target=self._provider.shutdown, name="traces-last", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class Session(requests.Session):
    """Reads no more of a collector's answer than its head: the rest says nothing, and may never end."""

    @override
    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().request(*args, **{**kwargs, "stream": True})
        response.close()
        return response


class WithoutQueries(SpanProcessor):
    """Takes the query out of each span of a request: a caller may have put anything there."""

    @override
    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        if "url.query" in (span.attributes or {}):
            span.set_attribute("url.query", "REDACTED")

    @override
    def on_end(self, span: ReadableSpan) -> None:
        pass


class Complaints(logging.Handler):
    """Hands on what the library complains of, now and then: a collector that is away is old news soon."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._silent_until = 0.0

    @override
    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + COMPLAIN_EVERY_S
            log.warning("traces.hindered", reason=record.getMessage())


def address(endpoint: str) -> str:
    """Return the address that spans are posted to; one without a path gets the usual one.

    Raises:
        ConfigurationError: it is none, or has something in it that belongs into the headers.
    """
    parts = urlsplit(endpoint)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        # Not quoted: what is wrong with it may be a password.
        message = (
            "DARKROOM_TRACING__ENDPOINT must be like http://collector:4318 or https://collector/v1/traces, "
            "without a user, a password or a query; what is secret goes into DARKROOM_TRACING__HEADERS"
        )
        raise ConfigurationError(message)
    return endpoint if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{TRACES_PATH}"


def _context_of(carrier: str) -> trace.SpanContext:
    carried: Mapping[str, str] = {"traceparent": carrier}
    return trace.get_current_span(_W3C.extract(carried, Context())).get_span_context()


def _complain_seldom() -> None:
    library = logging.getLogger("opentelemetry")
    library.handlers = [Complaints()]
    library.propagate = False
    library.setLevel(logging.WARNING)
