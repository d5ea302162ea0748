"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.status import HTTP_404_NOT_FOUND, HTTP_405_METHOD_NOT_ALLOWED

from api import errors, misses
from api.entrance import Entrance
from api.generation_request import GenerationRequest
from api.holding import RESUMED, HeldCalls
from api.intake import Intake
from api.middleware import PROBES, RequestContext
from api.resources import build
from api.routes import generations, health, jobs, metrics, models, operator, playground, usage
from api.security_headers import SecurityHeaders
from shared import tracing
from shared.errors import DarkroomError
from shared.logs import configure
from shared.settings import Settings


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
        telemetry=_telemetry(),
        # To which address? The one in the request may be anybody's.
        redirect_slashes=False,
    )
    body_type = GenerationRequest.with_max_n(settings.api.max_n)
    generating = generations.make_router(body_type)
    for router in (generating, jobs.router, models.router, health.router):
        app.include_router(router)
    app.include_router(operator.router)
    app.include_router(usage.router)
    app.include_router(metrics.router)
    app.include_router(playground.router)
    app.mount("/playground", playground.Files(directory=playground.FOLDER), name="playground")
    app.add_exception_handler(DarkroomError, errors.on_darkroom_error)
    app.add_exception_handler(RequestValidationError, errors.on_validation_error)
    app.add_exception_handler(HTTPException, errors.on_http_error)
    app.add_exception_handler(HTTP_404_NOT_FOUND, misses.on_missing_path)
    app.add_exception_handler(HTTP_405_METHOD_NOT_ALLOWED, misses.on_missing_method)
    # The last one added is the outermost.
    routes = (*generating.routes, *jobs.router.routes)
    known = {route.endpoint: route for route in routes if isinstance(route, APIRoute)}
    app.add_middleware(Intake, routes=known, body_type=body_type, resources=resources)
    # A held call goes on when all that is inside of here is done with it.
    app.add_middleware(HeldCalls, watch=resources.watch)
    app.add_middleware(Entrance, settings=settings.api, keyring=resources.keyring)
    app.add_middleware(RequestContext)
    app.add_middleware(SecurityHeaders)
    return app


def from_environment() -> FastAPI:
    """Return the application configured by the environment: the factory that uvicorn calls."""
    settings = Settings()
    configure(settings.log)
    tracing.configure(settings.tracing, "darkroom-api")
    return create_app(settings)


def _telemetry() -> TelemetryConfig:
    """Return what FastAPI tells of requests: a span of each where we trace, and else nothing.

    Said in full, as it would also listen to variables of the environment and send what they name.
    """

    def is_untold(scope: MutableMapping[str, Any]) -> bool:
        # The request of a call that has been woken is none that came.
        return scope.get("path") in PROBES or RESUMED in scope.get("state", ())

    return {
        "tracing": tracing.enabled(),
        "tracer_provider": tracing.provider(),
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": is_untold,
    }
