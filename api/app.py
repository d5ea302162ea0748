"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.status import HTTP_404_NOT_FOUND, HTTP_405_METHOD_NOT_ALLOWED
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import errors, misses
from api.batches import route as batches
from api.edits import route as edits
from api.edits.request import EditRequest
from api.files import route as files
from api.generations import route as generations
from api.generations.request import GenerationRequest
from api.http.context import PROBES, RequestContext
from api.http.cors import cors_options
from api.http.entrance import Entrance
from api.http.head import HeadAsGet
from api.http.limits import BodyLimits
from api.http.prefix import Prefix, without_prefix
from api.http.security_headers import SecurityHeaders
from api.http.server import join_the_others, when_told_to_stop
from api.jobs import route as jobs
from api.models import route as models
from api.objects import route as objects
from api.objects.links import FILES_PATH
from api.operator import health, metrics, usage, view
from api.playground import route as playground
from api.resources import build
from api.streams import route as streams
from shared import tracing
from shared.errors import DarkroomError
from shared.logs import configure
from shared.settings import ApiSettings, Settings

JSON_PATHS: Final = frozenset({generations.GENERATIONS_PATH, batches.BATCHES_PATH})
"""Where a body is JSON, and no more than a route takes at once."""


def create_app(settings: Settings) -> FastAPI:
    """Return the application for these settings.

    Raises:
        ConfigurationError: the catalogue or the list of terms cannot be read.
    """
    # Built here and not in the lifespan, so that what cannot be built ends the process before it listens.
    resources = build(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.resources = resources
        resources.start()
        # Held calls are let go: the server would wait for them in vain.
        with when_told_to_stop(resources.waiting.watch.let_go):
            yield
        await resources.close()
        await asyncio.to_thread(tracing.close)

    # For its files alone: FastAPI's page at /docs would fetch them from elsewhere, and either page has a
    # script inside of it, which no policy that is worth having allows.
    app = FastAPIOffline(
        docs_url=None,
        redoc_url=None,
        title="Darkroom",
        version="0.1.0",
        lifespan=lifespan,
        telemetry=_telemetry(settings.api.root_path),
        servers=[{"url": settings.api.root_path}] if settings.api.root_path else None,
        # To which address? The one in the request may be anybody's.
        redirect_slashes=False,
    )
    max_n, by_url = settings.api.max_n, settings.results.by_default
    for router in (
        generations.make_router(GenerationRequest.with_max_n(max_n, by_url=by_url)),
        edits.make_router(EditRequest.with_max_n(max_n, by_url=by_url)),
        jobs.router,
        objects.router,
        files.router,
        batches.router,
        streams.router,
        models.router,
        health.router,
        view.router,
        usage.router,
        metrics.router,
        playground.router,
    ):
        app.include_router(router)
    app.mount("/playground", playground.Files(directory=playground.FOLDER), name="playground")
    app.add_exception_handler(DarkroomError, errors.on_darkroom_error)
    app.add_exception_handler(RequestValidationError, errors.on_validation_error)
    app.add_exception_handler(HTTPException, errors.on_http_error)
    app.add_exception_handler(HTTP_404_NOT_FOUND, misses.on_missing_path)
    app.add_exception_handler(HTTP_405_METHOD_NOT_ALLOWED, misses.on_missing_method)
    _wrap(app, settings.api, resources.keyring.is_open)
    return app


def _wrap(app: FastAPI, settings: ApiSettings, is_open: Callable[[], Awaitable[bool]]) -> None:
    """Put around the routes what every request passes. The last one added is the outermost."""
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimits, settings=settings, wants_json=JSON_PATHS.__contains__)
    app.add_middleware(Entrance, settings=settings, is_open=is_open)
    app.add_middleware(RequestContext)
    if settings.cors_origins:
        # Outside of what answers crashes and refusals: pages of other sites are to read those too.
        app.add_middleware(CORSMiddleware, **cors_options(settings))
    app.add_middleware(SecurityHeaders)
    if settings.root_path:
        app.add_middleware(Prefix, prefix=settings.root_path)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))


def from_environment() -> FastAPI:
    """Return the application configured by the environment: what each of several processes serves."""
    join_the_others()
    settings = Settings()
    configure(settings.log)
    tracing.configure(settings.tracing, "darkroom-api")
    return create_app(settings)


def _telemetry(prefix: str) -> TelemetryConfig:
    """Return what FastAPI tells of requests: a span of each where we trace, and else nothing.

    Said in full, as it would also listen to variables of the environment and send what they name.
    """

    def is_untold(scope: MutableMapping[str, Any]) -> bool:
        path = without_prefix(scope.get("path", ""), prefix)
        # An address that is signed is a secret, and a span would have it.
        return path in PROBES or path.startswith(FILES_PATH)

    return {
        "tracing": tracing.enabled(),
        "tracer_provider": tracing.provider(),
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": is_untold,
    }
