"""What is answered where nothing is: what an address misses, and what OpenAI has and this service has not."""

import re
from collections.abc import Iterator
from typing import Final

from fastapi import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from api.callers.caller import Credentials, identify
from api.errors import INVALID_REQUEST, body, error_response, json_response
from shared.errors import DarkroomError, UnsupportedEndpoint

_METHODS: Final = ("GET", "POST", "DELETE")
_INSTEAD: Final = (
    "It draws pictures from text, with POST /v1/images/generations, and from pictures, with "
    "POST /v1/images/edits, and lists its models at /v1/models."
)
_VARIATIONS: Final = (
    "This service makes no variations, which OpenAI has retired too. The same prompt with another `seed`, "
    "sent to POST /v1/images/generations, draws another picture of it."
)
_MODERATIONS: Final = (
    "This service moderates what it is asked to draw, as part of POST /v1/images/generations, and has no "
    "endpoint for that alone."
)
# The first part of what stands behind /v1/. Source: the official client, and what OpenAI's service once had.
_OPENAI: Final = frozenset(
    (
        *("agents", "assistants", "audio", "chat", "chatkit", "completions", "containers"),
        *("content_provenance_checks", "conversations", "decisions", "edits", "embeddings", "engines"),
        *("evals", "fine-tunes", "fine_tuning", "graders", "live", "moderations", "organization"),
        *("projects", "realtime", "responses", "safety", "skills", "threads", "uploads", "vaults"),
        *("vector_stores", "videos", "webhook_endpoints", "webhook_event_types"),
    )
)
_OF_IMAGES: Final = {"/v1/images/variations": _VARIATIONS}
# What is safe to repeat to whoever asked, wherever they show it.
_PLAIN: Final = re.compile(r"[\w./~:@-]{1,200}", re.ASCII)


async def on_missing_path(request: Request, _: Exception) -> Response:
    """Answer a path that there is not."""
    path = request.scope["path"]
    if not path:
        # The prefix itself, of which nothing is left: the page's files are below it.
        return RedirectResponse("/", 308)
    words = _words_for(path)
    if words is not None:
        return await _refuse(request, words)
    prefix = request.app.state.resources.settings.api.root_path
    return json_response(body(_advice(request, path, prefix), INVALID_REQUEST, None, "not_found"), 404)


async def on_missing_method(request: Request, _: Exception) -> Response:
    """Answer a method that a path has not."""
    allowed = [method for method in _METHODS if _is_there(request, request.scope["path"], method)]
    allowed = allowed or ["GET"]  # a folder of files, whose methods no route says
    if "GET" in allowed:
        allowed.insert(1, "HEAD")
    message = f"This address answers {' and '.join(allowed)} only."
    content = body(message, INVALID_REQUEST, None, "method_not_allowed")
    return json_response(content, 405, {"Allow": ", ".join(allowed)})


async def _refuse(request: Request, words: str) -> Response:
    """Say what there is instead: to whoever may ask at all, and never as a 404.

    Proxies in front of several services take that for a service that is gone.
    """
    headers = request.headers
    given = Credentials(
        headers.get("authorization", ""),
        headers.get("openai-organization", ""),
        headers.get("openai-project", ""),
    )
    try:
        await identify(request.app.state.resources.keyring, given)
    except DarkroomError as error:
        return error_response(error)
    return error_response(UnsupportedEndpoint(words))


def _words_for(path: str) -> str | None:
    """Return what is said of a route that OpenAI has; None where it has none."""
    if not path.startswith("/v1/"):
        return None
    path = path.rstrip("/")
    if path in _OF_IMAGES:
        return _OF_IMAGES[path]
    first = path.split("/")[2] if path.count("/") > 1 else ""
    if first == "moderations":
        return _MODERATIONS
    return f"This service has nothing of OpenAI's '{first}'. {_INSTEAD}" if first in _OPENAI else None


def _advice(request: Request, path: str, prefix: str) -> str:
    meant = next((each for each in _candidates(path) if _is_known(request, each)), None)
    if meant is None or not _PLAIN.fullmatch(meant):
        return (
            f"There is nothing at this address. The API is below {prefix}/v1, its reference at {prefix}/docs."
        )
    return f"There is nothing at this address: {_flaw(path, meant)}. Ask {prefix}{meant}."


def _candidates(path: str) -> Iterator[str]:
    """Yield what a path may have been meant to be, the likeliest first."""
    parts = [part for part in path.split("/") if part]
    while parts:
        yield "/" + "/".join(parts)
        if parts[0] != "v1":
            yield "/v1/" + "/".join(parts)
        parts = parts[1:]


def _flaw(path: str, meant: str) -> str:
    if path == f"{meant}/":
        return "it ends in a slash"
    if "//" in path:
        return "it has two slashes in a row, as of a base address that ends in one"
    if path.count("/v1/") > 1 or path.startswith("/v1/v1"):
        return "/v1 is in it twice; the base address ends in one /v1"
    return "it lacks /v1 at its beginning, in which the base address ends"


def _is_known(request: Request, path: str) -> bool:
    return _words_for(path) is not None or any(_is_there(request, path, method) for method in _METHODS)


def _is_there(request: Request, path: str, method: str) -> bool:
    """Whether a route answers; the router tells of the first one only."""
    scope: Scope = {**request.scope, "path": path, "method": method}
    routes: list[BaseRoute] = request.app.routes
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
