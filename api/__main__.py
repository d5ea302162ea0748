"""``python -m api``: serve HTTP."""

import socket
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from typing_extensions import override

from api.app import create_app
from shared.errors import ConfigurationError
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


def main() -> int:
    """Serve until told to stop; return the process's exit status."""
    try:
        settings = Settings()
        configure(settings.log)
        app = create_app(settings)
    except (ValidationError, ConfigurationError) as error:
        sys.stderr.write(f"darkroom api: {error}\n")
        return 1
    config = uvicorn.Config(
        app,
        host=settings.api.host,
        port=settings.api.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    Server(config, app).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
