"""``python -m api``: serve HTTP."""

import sys

import uvicorn
from pydantic import ValidationError

from api.app import create_app
from shared.errors import ConfigurationError
from shared.logs import configure
from shared.settings import Settings


def main() -> int:
    """Serve until told to stop; return the process's exit status."""
    try:
        settings = Settings()
        configure(settings.log)
        app = create_app(settings)
    except (ValidationError, ConfigurationError) as error:
        sys.stderr.write(f"darkroom api: {error}\n")
        return 1
    uvicorn.run(
        app,
        host=settings.api.host,
        port=settings.api.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
