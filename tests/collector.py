"""A collector of traces: takes what the service sends by OTLP over HTTP, and keeps it to be looked at.

It can also misbehave: answer with an error, late, never, or without an end.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from cli.ports import LOOPBACK
from tests.waiting import wait_until

Misbehave = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Told:
    """One span as it came. Instants are in ns since 1970, ids in hex; a root has the parent ``""``."""

    name: str
    kind: str
    service: str
    trace_id: str
    span_id: str
    parent: str
    began_at: int
    ended_at: int
    about: dict[str, Any]
    failed: bool
    links: tuple[tuple[str, str], ...]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended_at - self.began_at) / 1e9


class Collector:
    """Listens on a port of its own from ``with`` to its end."""

    def __init__(self, misbehave: Misbehave | None = None) -> None:
        self.spans: list[Told] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.leaving = threading.Event()
        """Set when the test is over: whoever misbehaves by waiting waits for this."""
        self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler(misbehave))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="collector")

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def of(self, name: str, **about: Any) -> list[Told]:
        """Return the spans of a name, with these attributes (``job_id`` for ``darkroom.job.id``)."""
        wanted = {f"darkroom.{key.replace('_', '.')}": value for key, value in about.items()}
        return [span for span in self.spans if span.name == name and wanted.items() <= span.about.items()]

    def wait_for(self, name: str, count: int = 1, timeout_s: float = 10, **about: Any) -> list[Told]:
        """Return the spans of a name when there are so many."""
        wait_until(lambda: len(self.of(name, **about)) >= count, timeout_s, f"{count} spans {name!r}")
        return self.of(name, **about)

    def trace(self, trace_id: str) -> list[Told]:
        """Return the spans of a trace in the order of their beginnings."""
        return sorted((s for s in self.spans if s.trace_id == trace_id), key=lambda span: span.began_at)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leaving.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self, misbehave: Misbehave | None) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.bodies.append(body)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                if misbehave is not None:
                    misbehave(self)
                    return
                assert self.path == "/v1/traces"
                collector.spans += spans_of(body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def spans_of(body: bytes) -> list[Told]:
    """Read a request of OTLP."""
    request = ExportTraceServiceRequest.FromString(body)
    found = []
    for resource_spans in request.resource_spans:
        service = _read(resource_spans.resource.attributes)["service.name"]
        for scope_spans in resource_spans.scope_spans:
            found += [_told(service, span) for span in scope_spans.spans]
    return found


def _told(service: str, span: Any) -> Told:
    return Told(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        service=service,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began_at=span.start_time_unix_nano,
        ended_at=span.end_time_unix_nano,
        about=_read(span.attributes),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
    )


def _read(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
