"""A receiver of webhooks on a real port, which answers as a test wants it to."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from typing_extensions import override

from tests.waiting import wait_until

Reply = Callable[[BaseHTTPRequestHandler], None]
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)


def status(code: int, **headers: str) -> Reply:
    """Answer with a status and nothing else."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return reply


def slow(seconds: float, code: int = 200) -> Reply:
    """Answer after so long."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        status(code)(handler)

    return reply


def hang(seconds: float) -> Reply:
    """Say nothing for so long, then close."""

    def reply(_: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)

    return reply


def drip(seconds: float) -> Reply:
    """Send a byte of a head now and then, for so long: no single read waits for long."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        ends_at = time.monotonic() + seconds
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-long: ")
        while time.monotonic() < ends_at:
            handler.wfile.write(b"y")
            handler.wfile.flush()
            time.sleep(0.05)

    return reply


def huge(code: int, bytes_: int) -> Reply:
    """Answer with a body that does not end soon."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("content-length", str(bytes_))
        handler.end_headers()
        for _ in range(bytes_ // 65536):
            handler.wfile.write(b"z" * 65536)

    return reply


def raw(data: bytes) -> Reply:
    """Answer with these bytes."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(data)

    return reply


class Receiver:
    """Takes requests until it is left.

    Args:
        tls: speaks TLS with this certificate.
        port: to listen on; by default a free one.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.received: list[Received] = []
        self.replies: list[Reply] = []
        """How the next ones are answered; then :attr:`usual`."""
        self.usual: Reply = status(200)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            @override
            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    self.close_connection = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, body))
                reply = receiver.replies.pop(0) if receiver.replies else receiver.usual
                reply(self)

            @override
            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            @override
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that goes is what some tests want."""

        self._server = Server((LOOPBACK, port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        self.url = (
            f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}/hooks/a-secret-path?token=test-of-a-token"
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def take(self, count: int = 1, timeout_s: float = 10.0) -> list[Received]:
        """Wait for so many requests, and return all there are."""
        wait_until(lambda: len(self.received) >= count, timeout_s, f"{count} requests of a webhook")
        return self.received


def silent_port() -> socket.socket:
    """Return a socket that takes connections and reads nothing."""
    return socket.create_server((LOOPBACK, 0))
