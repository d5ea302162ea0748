"""A real API process with short bounds."""

from pathlib import Path

import httpx2

from cli.ports import LOOPBACK, free_port
from cli.valkey import EmbeddedServer
from tests.service import API, process

MOST = 40
BODY_S = 1.5


class ApiProcess:
    """It serves at ``port`` from ``child.start()`` on. ``more`` are settings without ``DARKROOM_``."""

    def __init__(self, valkey: EmbeddedServer, folder: Path, prefix: str, **more: str) -> None:
        self.port = free_port()
        settings = {
            "REDIS__URL": valkey.url,
            "REDIS__PREFIX": prefix,
            "API__PORT": str(self.port),
            "API__BODY_TIMEOUT_S": str(BODY_S),
            "API__MAX_CONNECTIONS": str(MOST),
            **more,
        }
        self.child = process(
            "api", API, folder, **{f"DARKROOM_{name}": value for name, value in settings.items()}
        )

    @property
    def log(self) -> str:
        return self.child.program.log.read_text(encoding="utf-8")

    def alive(self) -> bool:
        try:
            answer = httpx2.get(f"http://{LOOPBACK}:{self.port}/healthz", timeout=5, trust_env=False)
        except httpx2.TransportError:
            return False
        return answer.status_code == 200
