"""A hub on the loopback: the part of the Hugging Face Hub's HTTP that a download uses, and its faults.

Large files are sent from another origin than the hub's own, behind a redirect, as the real one does.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
TOKEN = "hf_theTokenOfTheTest"
SENT_AT_ONCE = 8192
_INFO = re.compile(r"^/api/models/(?P<id>[^/]+/[^/]+)/revision/(?P<revision>[^/]+)$")
_RESOLVE = re.compile(r"^/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")
_CDN = re.compile(r"^/cdn/(?P<id>[^/]+/[^/]+)/(?P<path>.+)$")


@dataclass
class Asked:
    """One request for the bytes of a file, as the one that sent them saw it."""

    path: str
    first_byte: int
    authorization: str | None
    sent_bytes: int = 0


@dataclass
class LoopbackHub:
    """What is on the hub, and what goes wrong with it."""

    port: int = 0
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: set[str] = field(default_factory=lambda: {"main", COMMIT})
    asked: list[Asked] = field(default_factory=list)
    needs_token: bool = False
    """Whether files are given only to who has the token."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """Number of bytes after which each of the next answers with a file is cut."""
    spoilt: Counter[str] = field(default_factory=Counter)
    """How many of the next answers with a file have a wrong byte."""
    ignores_ranges: bool = False
    refusals: list[int] = field(default_factory=list)
    """Statuses that the next requests for bytes are answered with."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Lengths that are announced instead of the true ones."""
    stops_before: str = ""
    """A file of which half is sent, then nothing until `hang_up` is set, then the connection is cut."""
    hang_up: Event = field(default_factory=Event)
    stopped: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def has(self, repository: str, folder: Path) -> None:
        """Put a folder on the hub."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self.repositories[repository] = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in files
        }

    def fetched(self) -> list[str]:
        """The files whose bytes were asked for, in order."""
        return [asked.path for asked in self.asked]

    def sent_bytes(self) -> int:
        return sum(asked.sent_bytes for asked in self.asked)

    def info(self, repository: str) -> dict[str, Any]:
        siblings = [self._sibling(path, content) for path, content in self.repositories[repository].items()]
        gated = "auto" if self.needs_token else False
        return {"id": repository, "sha": COMMIT, "gated": gated, "siblings": siblings, "private": False}

    def _sibling(self, path: str, content: bytes) -> dict[str, Any]:
        size = self.sizes.get(path, len(content))
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        sibling: dict[str, Any] = {"rfilename": path, "size": size, "blobId": git}
        if is_large(path):
            sha256 = hashlib.sha256(content).hexdigest()
            sibling["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 130}
        return sibling


def is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".bin", ".ckpt", ".msgpack"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := _INFO.match(path):
            self._answer_info(found["id"], found["revision"])
        elif found := _RESOLVE.match(path):
            self._answer_resolve(found["id"], found["path"])
        elif found := _CDN.match(path):
            self._send_file(found["id"], found["path"])
        else:
            self._refuse(404, "RepoNotFound")

    def _answer_info(self, repository: str, revision: str) -> None:
        if repository not in self.hub.repositories:
            # What the real one says of a repository that is not there, or not for the caller.
            self._refuse(401, "RepoNotFound")
        elif revision not in self.hub.revisions:
            self._refuse(404, "RevisionNotFound")
        else:
            self._send(200, json.dumps(self.hub.info(repository)).encode(), "application/json")

    def _answer_resolve(self, repository: str, path: str) -> None:
        if self.hub.refusals:
            self._refuse(self.hub.refusals.pop(0), "")
        elif self.hub.needs_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "GatedRepo")
        elif path not in self.hub.repositories.get(repository, {}):
            self._refuse(404, "EntryNotFound")
        elif is_large(path):
            self.send_response(302)
            self.send_header(
                "Location", f"http://localhost:{self.hub.port}/cdn/{repository}/{path}?Signature=s3cr3t"
            )
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send_file(repository, path)

    def _send_file(self, repository: str, path: str) -> None:
        content = self.hub.repositories[repository][path]
        first_byte = self._first_byte()
        asked = Asked(path, first_byte, self.headers.get("Authorization"))
        self.hub.asked.append(asked)
        if first_byte >= len(content) > 0:
            self._refuse(416, "")
            return
        partly = first_byte > 0
        self.send_response(206 if partly else 200)
        if partly:
            self.send_header("Content-Range", f"bytes {first_byte}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first_byte))
        self.end_headers()
        self._send_bytes(asked, self._maybe_spoilt(path, content), len(content))

    def _first_byte(self) -> int:
        found = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        return int(found[1]) if found and not self.hub.ignores_ranges else 0

    def _maybe_spoilt(self, path: str, content: bytes) -> bytes:
        if not self.hub.spoilt[path]:
            return content
        self.hub.spoilt[path] -= 1
        return content[:-1] + bytes([content[-1] ^ 1])

    def _send_bytes(self, asked: Asked, content: bytes, end: int) -> None:
        cuts = self.hub.cuts.get(asked.path)
        end = min(end, asked.first_byte + cuts.pop(0)) if cuts else end
        position = asked.first_byte
        while position < end:
            if asked.path == self.hub.stops_before and position * 2 >= len(content):
                self.hub.stopped.set()
                self.hub.hang_up.wait(30)
                break
            chunk = content[position : min(end, position + SENT_AT_ONCE)]
            try:
                self.wfile.write(chunk)
            except OSError:  # the other side has gone
                break
            position += len(chunk)
            asked.sent_bytes += len(chunk)
        if position < len(content):
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients that hang up are what is tested."""


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    hub = LoopbackHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        hub.hang_up.set()
        server.shutdown()
        thread.join()
        server.server_close()
