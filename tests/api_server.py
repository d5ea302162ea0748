"""The API in a thread of this process, on a port of its own, asked over real sockets."""

import asyncio
import socket
from threading import Thread
from types import TracebackType
from typing import Self

import uvicorn
from typing_extensions import override

from api.app import create_app
from api.resources import Resources
from cli.ports import LOOPBACK
from shared.settings import Settings
from tests.waiting import wait_until


class QuickServer(uvicorn.Server):
    """uvicorn looks every tenth of a second whether it is to stop; hundreds of tests cannot wait so long."""

    @override
    async def main_loop(self) -> None:
        while not self.should_exit:  # noqa: ASYNC110 - a flag of uvicorn, set by another thread
            await asyncio.sleep(0.005)


class ApiServer:
    """One API process in all but the process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._socket = socket.create_server((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._socket.getsockname()[1]}"
        self.app = create_app(settings)
        config = uvicorn.Config(
            self.app,
            ws="none",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            limit_concurrency=settings.api.max_connections,
            timeout_graceful_shutdown=1,
        )
        self._server = QuickServer(config)
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="api")

    @property
    def resources(self) -> Resources:
        """What the process holds; for reading only, from another thread."""
        found: Resources = self.app.state.resources
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started or not self._thread.is_alive(), what="the API's start")
        assert self._server.started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
        assert not self._thread.is_alive()
