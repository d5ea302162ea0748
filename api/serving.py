"""One process that serves HTTP."""

import socket

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from api.app import create_app
from shared import tracing
from shared.logs import configure
from shared.settings import Settings


class Server(uvicorn.Server):
    """uvicorn, whose held calls are let go when it is told to stop: it would wait for them in vain."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Send held calls elsewhere, then stop as uvicorn does."""
        self._app.state.resources.stopping.set()
        await super().shutdown(sockets)


def config_of(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn serves the application."""
    return uvicorn.Config(
        app,
        host=settings.api.host,
        port=settings.api.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        backlog=4096,
    )


def serve(sockets: list[socket.socket]) -> None:
    """Serve in a process of several, on the socket that all of them share."""
    settings = Settings()
    configure(settings.log)
    tracing.configure(settings.tracing, "darkroom-api")
    app = create_app(settings)
    Server(config_of(app, settings), app).run(sockets)
