"""One process that serves HTTP."""

import resource
import socket
from typing import Final

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from api.app import create_app
from api.connection import connections
from shared import tracing
from shared.logs import configure, get_logger
from shared.settings import Settings

log = get_logger(__name__)

# Libraries, logs, and connections to the store and the broker.
_OTHER_FILES: Final = 200


class Server(uvicorn.Server):
    """uvicorn, whose held calls are let go when it is told to stop: it would wait for them in vain."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Send held calls elsewhere, then stop as uvicorn does."""
        self._app.state.resources.watch.let_go()
        await super().shutdown(sockets)


def config_of(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn serves the application."""
    return uvicorn.Config(
        app,
        http=connections(settings.api, _most_connections(settings.api.max_connections)),
        ws="none",
        host=settings.api.host,
        port=settings.api.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        backlog=4096,
    )


def _most_connections(wanted: int) -> int:
    """Return how many there can be, with the limit of open files raised as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    possible = wanted if hard == resource.RLIM_INFINITY else max(1, hard - _OTHER_FILES)
    if possible < wanted:
        log.warning("connections.fewer", wanted=wanted, possible=possible, reason="the limit of open files")
    return min(wanted, possible)


def serve(sockets: list[socket.socket]) -> None:
    """Serve in a process of several, on the socket that all of them share."""
    settings = Settings()
    configure(settings.log)
    tracing.configure(settings.tracing, "darkroom-api")
    app = create_app(settings)
    Server(config_of(app, settings), app).run(sockets)
