"""Pages of other sites that may ask this service: what their browsers are told.

There are no cookies here, so nobody's login comes by itself with such a request: who asks knows a key, or the
service has none.
"""

from typing import Any, Final

from shared.settings import ApiSettings
from shared.web_addresses import ANY

# What a script may read of an answer, beside what every script may.
EXPOSED: Final = (
    *("location", "preference-applied", "retry-after", "www-authenticate"),
    *("x-ignored-fields", "x-job-id", "x-model", "x-request-id", "x-seeds", "x-should-retry", "x-warnings"),
    *("ratelimit", "ratelimit-policy"),
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
)


def cors_options(settings: ApiSettings) -> dict[str, Any]:
    """Return what Starlette's ``CORSMiddleware`` is told, for the origins of these settings."""
    return {
        "allow_origins": settings.cors_origins,
        "allow_methods": ("GET", "HEAD", "POST", "DELETE"),
        # The official client adds to its own with each version, and without cookies none lends any rights.
        "allow_headers": ("*",),
        "expose_headers": EXPOSED,
        # A public site may ask a service inside where it was named, and not because all may.
        "allow_private_network": ANY not in settings.cors_origins,
    }
