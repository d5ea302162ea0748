"""A service on the loopback that answers what a test tells it to, and remembers what it was asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Json = dict[str, Any]


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json | None


@dataclass
class FakeService:
    """Answers of one path come one after the other; the last one stays."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], list[tuple[int, bytes]]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def will_answer(self, method: str, path: str, body: Json | bytes, status: int = 200) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.setdefault((method, path), []).append((status, raw))

    def will_refuse(self, method: str, path: str, status: int, message: str, code: str = "some_code") -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        self.will_answer(method, path, {"error": error}, status)

    def bodies(self) -> list[Json]:
        """What was posted."""
        return [asked.body for asked in self.asked if asked.body is not None]

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        answers = self.answers.get((asked.method, asked.path.partition("?")[0]))
        if not answers:
            return 404, b'{"error": {"message": "the test has no such path", "code": "none"}}'
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def fake_service() -> Iterator[FakeService]:
    service = FakeService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = service.answer(Asked(self.command, self.path, headers, body))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that the base class looks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def job(status: str, **members: Any) -> Json:
    """A job object as the contract has it."""
    return {
        "id": "0123456789abcdef",
        "object": "image.job",
        "status": status,
        "model": "glyph",
        "created_at": 1_700_000_000,
        "started_at": None if status == "queued" else 1_700_000_001,
        "finished_at": 1_700_000_005 if status in {"succeeded", "failed"} else None,
        "expires_at": None,
        "progress": 0,
        "queue_position": None,
        "eta_seconds": None,
        "attempt": 1,
        "seeds": [42],
        "error": None,
        "warnings": [],
        **members,
    }
