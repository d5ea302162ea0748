"""The service as it is run: `python -m api` and `celery -A worker.main worker`, set up by the environment."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from cli.logs import tail
from cli.ports import LOOPBACK, free_port
from cli.processes import Child, Program, stop_together
from shared.settings import REPO_ROOT
from tests.waiting import wait_until

API: Final = (sys.executable, "-m", "api")
WORKER: Final = (sys.executable, "-m", "celery", "-A", "worker.main", "worker")
COURIER: Final = (sys.executable, "-m", "celery", "-A", "courier.main", "worker")
# Two processes that import torch, on a machine that does much else: no promise, only an end to the waiting.
START_S: Final = 240.0
STOP_S: Final = 15.0


def process(name: str, command: tuple[str, ...], folder: Path, **environment: str) -> Child:
    """Return a process, not started yet, whose output goes to a log in the folder."""
    return Child(Program(name, command, folder / f"{name}.log", REPO_ROOT, environment))


class RunningService:
    """One API process and one worker, from ready to stopped.

    Args:
        folder: where the logs go.
        redis_url: the server.
        worker_command: starts the worker.
        api_only: settings of the API.
        worker_only: settings of the worker.
        environment: settings of both, as ``DARKROOM_SECTION__NAME``.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        worker_command: tuple[str, ...] = WORKER,
        api_only: Mapping[str, str] | None = None,
        worker_only: Mapping[str, str] | None = None,
        **environment: str,
    ) -> None:
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        self.environment = {
            "DARKROOM_REDIS__URL": redis_url,
            "DARKROOM_API__PORT": str(port),
            "DARKROOM_WORKER__DRAIN_S": "1",
            **environment,
        }
        self.api = process("api", API, folder, **{**self.environment, **(api_only or {})})
        self.worker = process("worker", worker_command, folder, **{**self.environment, **(worker_only or {})})
        self._http = httpx2.Client(base_url=self.url, timeout=5, trust_env=False)

    def __enter__(self) -> Self:
        try:
            for child in (self.api, self.worker):
                child.start()
            wait_until(self._ready, START_S, "the service's readiness")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop both processes, whatever state they are in."""
        self._http.close()
        stop_together([child for child in (self.api, self.worker) if child.running], STOP_S)

    def get(self, path: str) -> Any:
        """GET JSON, as a caller without a key."""
        answer = self._http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def worker_events(self, name: str) -> list[dict[str, Any]]:
        """Return the worker's log lines of one event."""
        return _events(self.worker, name)

    def api_events(self, name: str) -> list[dict[str, Any]]:
        """Return the API's log lines of one event."""
        return _events(self.api, name)

    def _ready(self) -> bool:
        for child in (self.api, self.worker):
            assert child.running, f"{child.end_in_words()}:\n{tail(child.program.log)}"
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False


def _events(child: Child, name: str) -> list[dict[str, Any]]:
    lines = child.program.log.read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [event for event in events if event["event"] == name]
