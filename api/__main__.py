"""``python -m api``: serve HTTP."""

import sys

from api.app import create_app
from api.http.server import serve
from shared import tracing
from shared.errors import ConfigurationError
from shared.jobs.keys import Keys
from shared.logs import configure, get_logger
from shared.redis_clients import UNREACHABLE, sync_client
from shared.redis_reasons import reason_of
from shared.settings import Settings, read_settings

log = get_logger(__name__)


def main() -> int:
    """Serve until told to stop; return the process's exit status."""
    try:
        settings = read_settings()
        configure(settings.log)
        tracing.configure(settings.tracing, "darkroom-api")
        app = create_app(settings)
        _check_access(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"darkroom api: {error}\n")
        return 1
    if settings.api.processes > 1:
        tracing.close()  # each of them traces for itself
    serve(app, "api.app:from_environment", settings.api)
    return 0


def _check_access(settings: Settings) -> None:
    """Check that a service which others can reach is not meant for everybody by mistake.

    Raises:
        ConfigurationError: others can reach it, there is no API key, and nobody said that it is open to all.
    """
    if settings.api.is_loopback or settings.api.open:
        return
    client = sync_client(settings.redis)
    try:
        keys = client.hlen(Keys(settings.redis.prefix).api_keys)
    except UNREACHABLE as error:
        log.warning("keys.unknown", reason=reason_of(error), until="redis is back, nobody is served")
        return
    finally:
        client.close()
    if not keys:
        message = (
            f"other machines can reach {settings.api.published_on or settings.api.host}, and there is no API "
            "key. Make one with `darkroom keys create --name NAME`, or say that everybody may use the "
            "service: DARKROOM_API__OPEN=true"
        )
        raise ConfigurationError(message)


if __name__ == "__main__":
    sys.exit(main())
