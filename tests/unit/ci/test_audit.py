"""The audit of pins: a finding fails, a database that cannot be asked does not, and they look different."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.ports import free_port
from shared.settings import REPO_ROOT

SCRIPT = REPO_ROOT / ".ci" / "audit.py"


@contextmanager
def database(status: int, known: dict[str, Any]) -> Iterator[str]:
    """A vulnerability database that answers every package of `known` with that, others with nothing."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(known.get(asked["package"]["name"], {})).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's signature
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    file = tmp_path / "pins.txt"
    file.write_text("harmless==1.0\nholed==2.0 ; python_version > '3'\n")
    return file


def audit(pins: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--osv-url", url, str(pins)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_known_vulnerability_fails_and_says_where_it_is_mended(pins: Path) -> None:
    events = [{"introduced": "0"}, {"fixed": "2.1"}]
    affected = {
        "package": {"name": "holed", "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    found = {"id": "PYSEC-1", "summary": "a hole", "affected": [affected]}

    with database(200, {"holed": {"vulns": [found]}}) as url:
        done = audit(pins, url)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "holed 2.0: PYSEC-1, mended in 2.1",
        "2 pins, 1 known vulnerabilities",
    ]


def test_a_database_that_is_not_there_is_said_in_one_line_and_fails_nothing(pins: Path) -> None:
    done = audit(pins, f"http://127.0.0.1:{free_port()}/v1/query")

    assert (done.returncode, done.stdout) == (0, "skipped, the database cannot be asked: ConnectionError\n")


def test_a_database_that_refuses_to_answer_is_the_same(pins: Path) -> None:
    with database(403, {}) as url:
        done = audit(pins, url)

    assert (done.returncode, done.stdout) == (0, "skipped, the database cannot be asked: ServiceError\n")


def test_pins_that_cannot_be_read_fail(tmp_path: Path) -> None:
    broken = tmp_path / "broken.txt"
    broken.write_text("nonsense===\n")

    done = audit(broken, "http://127.0.0.1:1/")

    assert done.returncode == 1
    assert done.stderr.startswith("pip-audit: ")
