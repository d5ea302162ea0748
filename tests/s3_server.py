"""A server that speaks S3, on loopback, with a bucket: moto's, which keeps its objects in memory."""

import secrets
import socket
from types import TracebackType
from typing import Any, Self

import httpx2
from moto.server import ThreadedMotoServer

from cli.ports import LOOPBACK
from tests.waiting import wait_until

SECRETS = {"s3_access_key_id": "an-id-of-a-test", "s3_secret_access_key": "a-secret-of-a-test"}


class S3Server:
    """Runs from ``with`` on; ``away`` and ``back`` as often as a test likes: what it holds, it keeps."""

    def __init__(self) -> None:
        with socket.create_server((LOOPBACK, 0)) as free:
            self.port = free.getsockname()[1]
        self.endpoint = f"http://{LOOPBACK}:{self.port}"
        self.bucket = f"pictures-{secrets.token_hex(4)}"
        self._http = httpx2.Client(base_url=self.endpoint, trust_env=False, timeout=10)
        self._server: ThreadedMotoServer | None = None

    def __enter__(self) -> Self:
        self.back()
        assert self._http.put(f"/{self.bucket}").status_code == 200
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._need_keys_after("inf")  # it is the process's, not the server's
        self.away()
        self._http.close()

    @property
    def settings(self) -> dict[str, Any]:
        """Those of results that lead here."""
        return {
            "urls": f"s3://{self.bucket}/darkroom",
            "s3_endpoint": self.endpoint,
            "timeout_s": 2,
            **SECRETS,
        }

    def back(self) -> None:
        """Answer."""
        self._server = ThreadedMotoServer(LOOPBACK, self.port, verbose=False)
        self._server.start()
        wait_until(self._answers, what="the S3 server's start")

    def away(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def ask_for_keys(self) -> None:
        """From now on answer nobody whose key is not one of its own, and it has none."""
        self._need_keys_after("0")

    def _need_keys_after(self, requests: str) -> None:
        assert self._http.post("/moto-api/reset-auth", content=requests.encode()).status_code == 200

    def names(self) -> set[str]:
        """What is in the bucket."""
        listed = self._http.get(f"/{self.bucket}").text
        return {part.partition("</Key>")[0] for part in listed.split("<Key>")[1:]}

    def _answers(self) -> bool:
        try:
            return self._http.get("/").status_code == 200
        except httpx2.TransportError:
            return False
