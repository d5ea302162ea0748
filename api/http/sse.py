"""Server-sent events: how they are written, and the response that carries them.

Source: the HTML standard, section 9.2. Base64 is put between constant pieces, never parsed or encoded again.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from api.cancelling import cancel_all

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT: Final = b": still here\n\n"
# Proxies that gather responses (nginx, by this header) would make a stream of one piece.
_HEADERS: Final = {"x-accel-buffering": "no"}


def event(name: str, data: Mapping[str, Any], *, event_id: str = "", base64: bytes | None = None) -> bytes:
    """Return one event.

    Args:
        name: its type.
        data: its JSON.
        event_id: what a client that was cut off sends back; none by default.
        base64: is put into ``data`` as ``b64_json``.
    """
    document = json.dumps(data, separators=(",", ":")).encode()
    if base64 is not None:
        document = b"".join((b'{"b64_json":"', base64, b'",', document[1:]))
    head = f"id: {event_id}\n" if event_id else ""
    return b"".join([head.encode(), b"event: ", name.encode(), b"\ndata: ", document, b"\n\n"])


def described(*names: str) -> dict[str, Any]:
    """Return how a stream of such events is described in the OpenAPI file."""
    text = {"type": "string"}
    event_ = {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": {**text, "enum": list(names)},
            "data": {**text, "contentMediaType": "application/json"},
            "id": text,
        },
    }
    return {MEDIA_TYPE: {"schema": event_}}


class EventStream(Response):
    """Sends events as they come until there are no more, or until the client has gone.

    A client that reads slowly holds up only its own generator: nothing is queued for it here.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        heartbeat_s: float,
        on_left: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the events, which are not asked for yet.

        Args:
            events: as bytes, each whole.
            headers: of the response, beside those of every stream.
            heartbeat_s: after so long without one, a comment line shows that the stream lives.
            on_left: called when the client goes before the last event.
        """
        super().__init__(None, 200, {**_HEADERS, **headers})
        del self.headers["content-length"]
        self._events = events
        self._heartbeat_s = heartbeat_s
        self._on_left = on_left

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writing = asyncio.create_task(self._write(send))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                self._on_left()
            elif error := writing.exception():
                raise error
        finally:
            await cancel_all((writing, leaving))

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._events):
            while (each := await self._next(send)) is not None:
                await send({"type": "http.response.body", "body": each, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self, send: Send) -> bytes | None:
        """Wait for the next event, whatever it waits for, and meanwhile show that the stream lives."""
        upcoming = asyncio.create_task(_next_of(self._events))
        try:
            while not (await asyncio.wait({upcoming}, timeout=self._heartbeat_s))[0]:
                await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
            return upcoming.result()
        finally:
            await cancel_all([upcoming])


async def _next_of(events: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(events, None)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
