"""HTTP over plain sockets: a client that costs less than what it measures."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final, Self

_LIMIT_BYTES: Final = 16 * 1024**2


@dataclass(frozen=True)
class Answer:
    """A response, and when its last byte came (seconds of the monotonic clock)."""

    status: int
    headers: dict[str, str]
    body: bytes
    at: float


class Wire:
    """One connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT_BYTES))

    async def ask(self, request: bytes) -> Answer:
        """Send a request and return its response."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split(" ")[1]), headers, body, asyncio.get_running_loop().time())

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: dict[str, Any], **headers: str) -> bytes:
    """Return a POST request of JSON."""
    content = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
