"""One HTTP connection, with an end to everything a client may keep open or make large.

uvicorn reads a head of any size, at any pace, from as many connections as there are. Here each part of a
request has its time: from the connection's first moment (or, on one that is used again, from the first byte)
to the end of the head, and from there to the end of the body. What is refused before there is a request is
answered in the service's own shape, and the connection ends.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
from starlette.types import Scope
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.errors import error_response
from api.holding import PARKING
from api.hosts import Authority
from api.middleware import new_request_id
from api.security_headers import headers_for
from shared.errors import (
    BodyTooLarge,
    DarkroomError,
    HeadTooLarge,
    InvalidHttp,
    RequestTimeout,
    TooManyConnections,
    UnsupportedTransferEncoding,
    UrlTooLong,
)
from shared.logs import get_logger
from shared.settings import ApiSettings

log = get_logger(__name__)

MAX_URL_BYTES: Final = 8 * 1024
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEADERS: Final = 100
# Of a body that was answered without being read: as much as a client may send before it looks at the answer.
MAX_DROPPED_BYTES: Final = 64 * 1024 * 1024
# A read is given to the parser in pieces: what frames a body is counted from the piece after its head.
_PIECE_BYTES: Final = 16 * 1024
# A connection that was refused is open for so long still, so that a client who sends sees the answer.
_LINGER_S: Final = 5.0


class Stage(Enum):
    """What a connection waits for."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


@dataclass(slots=True)
class Waiting:
    """What is left of a request that waits without a task. ``gone`` is told when its client hangs up."""

    gone: Callable[[], None]
    keep_alive: bool
    cycle: RequestResponseCycle | None = None


class Connection(HttpToolsProtocol):
    """uvicorn's connection, bounded; made by :func:`connections`."""

    settings: ClassVar[ApiSettings]
    most: ClassVar[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through
        super().__init__(*args, **kwargs)
        self._stage = Stage.HEAD
        self._requests = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._watched: tuple[int, Stage] | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._answered: RequestResponseCycle | None = None
        self._why: DarkroomError | None = None
        self._refused = False
        self._waiting: Waiting | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(TooManyConnections(retry_after_s=5))
            self.transport.close()
        else:
            self._watch()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._reading, self._writing):
            if timer is not None:
                timer.cancel()
        self._tell_who_writes()
        super().connection_lost(exc)
        if self._waiting is not None:
            self._waiting.gone()

    @override
    def data_received(self, data: bytes) -> None:
        if self._waiting is not None:
            self._restore(self._waiting)
        for start in range(0, len(data), _PIECE_BYTES):
            if self._refused:
                break
            self._take(data[start : start + _PIECE_BYTES])
        self._watch()

    def _take(self, piece: bytes) -> None:
        if self._stage is Stage.NOTHING:
            self._stage = Stage.HEAD
        before = (self._requests, self._stage)
        super().data_received(piece)
        # A header without an end is told to nobody before it ends, but it takes memory.
        self._head_bytes = self._head_bytes + len(piece) if self._stage is Stage.HEAD else 0
        # Likewise what stands around the pieces of a body, and behind it: all of it counts.
        in_a_body = self._stage is Stage.BODY and before == (self._requests, Stage.BODY)
        self._body_bytes = self._body_bytes + len(piece) if in_a_body else 0
        if self._refused:
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge())
        elif in_a_body and self._body_bytes > self._most_of_a_body():
            self._refuse(BodyTooLarge())

    def _most_of_a_body(self) -> int:
        # What is dropped takes no memory, and a client that is cut off might not see why.
        return MAX_DROPPED_BYTES if self.cycle.response_started else self.settings.max_body_bytes

    # What the parser tells. An error that is raised in there comes out of it as one of the client's.

    @override
    def on_message_begin(self) -> None:
        self._stage = Stage.HEAD
        self._requests += 1
        super().on_message_begin()

    @override
    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._stop(UrlTooLong())

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage is Stage.BODY:
            return  # it stands behind the body, where it must not pass for one that was in front
        super().on_header(name, value)
        if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
            self._stop(UnsupportedTransferEncoding(param="Transfer-Encoding"))
        if len(self.headers) > MAX_HEADERS or len(name) + len(value) > MAX_HEAD_BYTES:
            self._stop(HeadTooLarge())

    @override
    def on_headers_complete(self) -> None:
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._stop(HeadTooLarge())
        self._check_framing()
        self._stage = Stage.BODY
        self.scope["extensions"] = {PARKING: self}  # type: ignore[dict-item]
        super().on_headers_complete()

    def _check_framing(self) -> None:
        """Stop at what the application would not see any more, and another reader would read otherwise."""
        encodings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if len(encodings) > 1 or (encodings and self.parser.get_http_version() != "1.1"):
            self._stop(UnsupportedTransferEncoding(param="Transfer-Encoding"))
        if not self.url.startswith(b"/"):
            hosts = [value for name, value in self.headers if name == b"host"]
            if [_authority(self.url)] != [Authority.parse(host.decode("latin-1")) for host in hosts]:
                message = "The request's target and its header 'Host' name different hosts."
                self._stop(InvalidHttp(message, param="Host"))

    @override
    def on_message_complete(self) -> None:
        self._stage = Stage.NOTHING
        super().on_message_complete()

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # uvicorn knows the request that came last, which is another one where several wait in line.
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    # What of a request that waits is let go (api/holding.py), and comes back when it is woken or more comes.

    def park(self, scope: Scope, gone: Callable[[], None]) -> bool:
        """Let go of a request until it is resumed; False where another one is in line, or nobody is there."""
        cycle = self._answered
        if cycle is None or cycle is not self.cycle or cycle.scope is not scope:
            return False
        if cycle.disconnected or cycle.response_started or self._stage is not Stage.NOTHING:
            return False
        self._waiting = Waiting(gone, cycle.keep_alive)
        cycle.disconnected = True  # what still runs of its task has nothing more to say
        self.flow.resume_reading()  # a large body had stopped it, and hanging up is something that is read
        self.cycle = self._answered = self.scope = self.parser = None  # type: ignore[assignment]
        self.headers, self.url = _NO_HEADERS, b""
        return True

    def resume(self, scope: Scope) -> None:
        """Let the application answer the request that was let go."""
        waiting = self._waiting
        if waiting is None:
            return
        cycle = self._restore(waiting)
        self._waiting = None
        cycle.scope = scope  # type: ignore[assignment]
        cycle.disconnected = self.transport.is_closing()
        super()._start_asgi_task(cycle, self.app)

    def _restore(self, waiting: Waiting) -> RequestResponseCycle:
        """Return the request that waits, which stands in front of what comes now."""
        if waiting.cycle is not None:
            return waiting.cycle
        scope: Any = {"type": "http", "method": "POST"}
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=waiting.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        waiting.cycle = self.cycle = self._answered = cycle
        if self.transport.is_closing():
            return cycle  # nothing more is read, and with a parser it would live until it is found as garbage
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return cycle

    @override
    def shutdown(self) -> None:
        if self._waiting is not None and self._waiting.cycle is None:
            self._waiting.keep_alive = False
        elif self._refused:
            self.transport.close()
        else:
            super().shutdown()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing = self.loop.call_later(self.settings.stalled_write_s, self._stalled)

    @override
    def resume_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
        super().resume_writing()

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(self._why or InvalidHttp(_as_the_parser_says(sys.exception())))

    @override
    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: there is nothing to upgrade to, and the request is answered as it is."""

    def _stop(self, why: DarkroomError) -> None:
        """Leave the parser; what it makes of the exception is :meth:`send_400_response`."""
        self._why = why
        raise why

    def _watch(self) -> None:
        """See to it that the part of the request that is missing now comes in its time."""
        if self._refused:
            return
        waited_for = (self._requests, self._stage)
        if waited_for == self._watched:
            return
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._watched = waited_for
        if self._stage is not Stage.NOTHING:
            whole_s = (
                self.settings.head_timeout_s if self._stage is Stage.HEAD else self.settings.body_timeout_s
            )
            self._reading = self.loop.call_later(whole_s, self._too_slow)

    def _too_slow(self) -> None:
        if self.flow.read_paused:
            # It is us who do not read: an earlier request of this connection has no answer yet.
            self._watched = None
            self._watch()
            return
        if self._stage is Stage.HEAD and not self._head_bytes:
            self.transport.close()  # it never said anything: browsers open such ones in advance
        else:
            self._refuse(RequestTimeout())

    def _stalled(self) -> None:
        log.info("connection.stalled", waited_s=self.settings.stalled_write_s)
        self._cut()

    def _refuse(self, error: DarkroomError) -> None:
        """Answer in front of the application, and end the connection."""
        self._refused = True
        log.info("connection.refused", code=error.code)
        if self._answering():
            self._cut()  # a second answer would be taken for a part of the first
            return
        response = error_response(error)
        headers = [
            *response.raw_headers,
            *headers_for("/v1/"),
            (b"x-request-id", new_request_id().encode()),
            (b"connection", b"close"),
        ]
        lines = [b"HTTP/1.1 %d %s" % (response.status_code, HTTPStatus(response.status_code).phrase.encode())]
        lines += [name + b": " + value for name, value in headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self._linger()

    def _linger(self) -> None:
        """End what is sent, and soon the rest: one that is closed while something comes loses its answer."""
        self._tell_who_writes()
        if self._reading is not None:
            self._reading.cancel()
        self._reading = self.loop.call_later(_LINGER_S, self.transport.close)
        self.flow.resume_reading()
        self.transport.write_eof()

    def _cut(self) -> None:
        """End the connection at once."""
        self._tell_who_writes()
        self.transport.abort()

    def _tell_who_writes(self) -> None:
        """Tell the one who still writes an answer, before its next piece, that nobody takes it any more."""
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def _answering(self) -> bool:
        """Whether a request of this connection has an answer on its way, or has had its own already."""
        cycle = self._answered
        if cycle is None:
            return False
        if self._stage is Stage.BODY:
            return cycle.response_started or bool(self.pipeline)
        return not cycle.response_complete


def _as_the_parser_says(error: BaseException | None) -> str | None:
    """Return what is wrong; the parser's words are its own, with nothing of the request in them."""
    if not isinstance(error, httptools.HttpParserError) or isinstance(
        error, httptools.HttpParserCallbackError
    ):
        return None
    return f"This is not HTTP, or not unambiguously: {error}."


def _authority(url: bytes) -> Authority | None:
    """Return the host and port that a request's target names."""
    try:
        found = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        return None
    port = f":{found.port}" if found.port else ""
    host = (found.host or b"").decode("latin-1")
    return Authority.parse(f"[{host}]{port}" if ":" in host else host + port)


_NO_HEADERS: Final[list[tuple[bytes, bytes]]] = []


def connections(settings: ApiSettings, most: int) -> type[Connection]:
    """Return the class of this service's connections, of which there are so many at most."""
    return type("BoundedConnection", (Connection,), {"settings": settings, "most": most})
