"""The short way in of what is asked most: to draw, for a job, for its result.

FastAPI finds out for each request what its route depends on and checks each part on its own: that was half of
what a submission cost (docs/performance.md). Here a request that is valid is read with the same models and
handed to the same code at once. Whatever is unusual in it (a field or header that is wrong, given twice, or
not understood) goes to FastAPI's route as it came, which is the one that says what is wrong.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import NAMED, Credentials, count, identify, require
from api.content import check_content
from api.creation import create
from api.delivery import JOBS_PATH
from api.errors import error_response
from api.generation_request import GenerationRequest
from api.prefer import IDEMPOTENCY_KEY_CHARS, RETRIES, Delivery, OnDisconnect
from api.resources import Resources
from api.routes.generations import GENERATIONS_PATH
from api.routes.jobs import read_job, read_result
from api.submitting import Asked, remembering_refusals
from shared import tracing
from shared.api_keys import Scope as KeyScope
from shared.errors import BodyTooLarge, DarkroomError

Headers = dict[str, str]

_OF_A_JOB: Final = re.compile(rf"{JOBS_PATH}/([0-9a-f]{{32}})(?:/(result))?")
_READ: Final = {
    name.encode(): name
    for name in (
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "idempotency-key",
        "openai-organization",
        "openai-project",
        "prefer",
        "x-on-disconnect",
        RETRIES,
    )
}


class Intake:
    """Takes the requests of three routes; everything else passes.

    Args:
        app: what is wrapped: the framework.
        routes: the framework's, by what is asked of them, which answer what is unusual.
        body_type: what a body is.
        resources: those of this process.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Mapping[Callable[..., object], APIRoute],
        body_type: type[GenerationRequest],
        resources: Resources,
    ) -> None:
        self._app = app
        self._generating = next(route for route in routes.values() if route.path == GENERATIONS_PATH)
        self._of_a_job: dict[str, tuple[Callable[..., Awaitable[Response]], APIRoute]] = {
            "": (read_job, routes[read_job]),
            "result": (read_result, routes[read_result]),
        }
        self._body_type = body_type
        self._resources = resources
        self._max_bytes = resources.settings.api.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        method, path = (scope["method"], scope["path"]) if scope["type"] == "http" else ("", "")
        if method == "POST" and path == GENERATIONS_PATH:
            await self._generate(scope, receive, send)
        elif method == "GET" and (found := _OF_A_JOB.fullmatch(path)):
            await self._show(found[1], found[2] or "", scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _show(self, job_id: str, what: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers, once = _headers(scope)
        credentials = _credentials(headers) if once else None
        if credentials is None:
            await self._app(scope, receive, send)
            return
        show, route = self._of_a_job[what]
        _take(scope, route)
        more = {} if what else {"prefer": headers.get("prefer", "")}

        async def answer() -> Response:
            caller = require(await identify(self._resources, credentials), KeyScope.READ)
            return await show(job_id, caller, self._resources, **more)

        await (await _answer_of(answer))(scope, receive, send)

    async def _generate(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, once = _headers(scope)
        try:
            body = await self._read(headers, receive)
        except ClientDisconnect:
            return  # half a body is none, even where it can be read as one
        except DarkroomError as error:
            await error_response(error)(scope, receive, send)
            return
        taken = self._understood(headers, body) if once else None
        if taken is None:
            # Whatever kind of JSON the caller named, the parser behind knows it by this name only.
            others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            scope["headers"] = [*others, (b"content-type", b"application/json")]
            await self._app(scope, _replay(body, receive), send)
            return
        _take(scope, self._generating)

        async def answer() -> Response:
            caller = require(await identify(self._resources, taken.credentials), KeyScope.GENERATE)
            asked = Asked(taken.body, caller, taken.delivery, scope["state"]["request_id"])
            async with remembering_refusals(asked, self._resources):
                await count(caller, self._resources, scope["state"])
                return await create(asked, taken.document, self._resources)

        await (await _answer_of(answer))(scope, receive, send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        """Return the body.

        Raises:
            DarkroomError: it says that it is something else, or it is larger than allowed.
            ClientDisconnect: it ends before its end.
        """
        check_content(headers, self._max_bytes)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                raise BodyTooLarge
            if not message.get("more_body", False):
                return bytes(body)

    def _understood(self, headers: Headers, body: bytes) -> "_Taken | None":
        """Return what a request asks for; None where it is not valid, or not for us to say."""
        credentials = _credentials(headers)
        key = headers.get("idempotency-key", "")
        if credentials is None or len(key) > IDEMPOTENCY_KEY_CHARS:
            return None
        try:
            document = json.loads(body)
            asked = self._body_type.model_validate(document)
            on_disconnect = OnDisconnect(headers.get("x-on-disconnect", OnDisconnect.GRACE))
        except (ValueError, RecursionError):  # of the parser, of pydantic, of the enumeration
            return None
        return _Taken(
            document,
            asked,
            credentials,
            Delivery.parse(headers.get("prefer", ""), key, on_disconnect, headers.get(RETRIES, "0")),
        )


@dataclass(frozen=True, slots=True)
class _Taken:
    """A request that was understood."""

    document: dict[str, Any]
    body: GenerationRequest
    credentials: Credentials
    delivery: Delivery


def _headers(scope: Scope) -> tuple[Headers, bool]:
    """Return the headers that are read here, and whether each came once; else the first one counts."""
    read = [(name, value) for name, value in reversed(scope["headers"]) if name in _READ]
    headers = {_READ[name]: value.decode("latin-1") for name, value in read}
    return headers, len(headers) == len(read)


def _credentials(headers: Headers) -> Credentials | None:
    """Return who makes a request; None where its headers cannot say."""
    organization, project = headers.get("openai-organization", ""), headers.get("openai-project", "")
    if not (NAMED.fullmatch(organization) and NAMED.fullmatch(project)):
        return None
    return Credentials(headers.get("authorization", ""), organization, project)


def _take(scope: Scope, route: APIRoute) -> None:
    """Say which route has taken a request, as the framework would."""
    scope["route"] = route
    tracing.current().take(scope["method"], route.path)


async def _answer_of(answer: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await answer()
    except DarkroomError as error:
        return error_response(error)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
