"""The real service for a benchmark: Valkey, one API process and one worker, each a process of its own."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from cli.ports import free_port
from cli.processes import Child, Program, stop_together
from cli.valkey import EmbeddedServer
from shared.settings import REPO_ROOT

STARTUP_S = 300
API = (sys.executable, "-m", "api")
WORKER = (sys.executable, "-m", "celery", "-A", "worker.main", "worker")


@contextmanager
def service(folder: Path, **settings: str) -> Iterator[tuple[httpx2.Client, Path]]:
    """Run it until the end of the block; give a client and the worker's log.

    Args:
        folder: where its data and logs go.
        settings: by their names without the prefix, as ``WORKER__DEVICE="cuda"``.

    Raises:
        SystemExit: it did not become ready.
    """
    port = free_port()
    with EmbeddedServer(folder / "valkey") as server:
        given = {"REDIS__URL": server.url, "API__PORT": str(port), **settings}
        environment = {f"DARKROOM_{name}": value for name, value in given.items()}
        commands = {"api": API, "worker": WORKER}
        children = [
            Child(Program(name, command, folder / f"{name}.log", REPO_ROOT, environment))
            for name, command in commands.items()
        ]
        for child in children:
            child.start()
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=900, trust_env=False) as client:
                _wait_ready(client, children)
                yield client, folder / "worker.log"
        finally:
            stop_together(children, 10)


def _wait_ready(client: httpx2.Client, children: list[Child]) -> None:
    give_up_at = time.monotonic() + STARTUP_S
    while time.monotonic() < give_up_at:
        for child in children:
            if not child.running:
                sys.exit(f"{child.end_in_words()}: {child.program.log}")
        try:
            if client.get("/readyz").status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    sys.exit("the service did not become ready")
