"""The way in of ``POST /v1/images/generations``: bounds, and no framework where none is needed.

FastAPI finds out for each request what its route depends on and checks each part on its own: that was half of
what a submission cost (docs/performance.md). Here a request that is valid is read with the same models and
handed on at once. Whatever is unusual in it (a field or header that is wrong, given twice, or not understood)
goes to FastAPI's route as it came, which is the one that says what is wrong; so does everything while traces
are on.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import NAMED, Credentials, count, identify, require
from api.creation import create
from api.errors import error_response
from api.generation_request import GenerationRequest
from api.prefer import IDEMPOTENCY_KEY_CHARS, RETRIES, Delivery, OnDisconnect
from api.resources import Resources
from api.submitting import Asked
from shared import tracing
from shared.api_keys import Scope as KeyScope
from shared.errors import BodyTooLarge, DarkroomError, NotJson

Headers = dict[str, str]

_READ: Final = {
    name.encode(): name
    for name in (
        "authorization",
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
    """Takes the requests of one path; everything else passes.

    Args:
        app: what is wrapped: the framework.
        route: the framework's route of that path, which answers what is unusual.
        body_type: what a body is.
        resources: those of this process.
    """

    def __init__(
        self, app: ASGIApp, route: BaseRoute, body_type: type[GenerationRequest], resources: Resources
    ) -> None:
        self._app = app
        self._route = route
        self._path: str = getattr(route, "path", "")
        self._body_type = body_type
        self._resources = resources
        self._max_bytes = resources.settings.api.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        # Of a header that was given twice the first one counts, as everywhere.
        read = [(name, value) for name, value in reversed(scope["headers"]) if name in _READ]
        headers = {_READ[name]: value.decode("latin-1") for name, value in read}
        try:
            body = await self._read(headers, receive)
        except ClientDisconnect:
            return  # half a body is none, even where it can be read as one
        except (BodyTooLarge, NotJson) as error:
            await error_response(error)(scope, receive, send)
            return
        usual = len(read) == len(headers) and not tracing.enabled()
        taken = self._understood(headers, body) if usual else None
        if taken is None:
            # Whatever kind of JSON the caller named, the parser behind knows it by this name only.
            others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            scope["headers"] = [*others, (b"content-type", b"application/json")]
            await self._app(scope, _replay(body, receive), send)
            return
        scope["route"] = self._route
        await self._answer(taken, scope, receive, send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        """Return the body.

        Raises:
            NotJson: it says that it is something else.
            BodyTooLarge: it is larger than allowed; a chunked one has no length to go by.
            ClientDisconnect: it ends before its end.
        """
        if not headers.get("content-type", "").split(";")[0].strip().lower().endswith("json"):
            raise NotJson
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes:
            raise BodyTooLarge
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
        organization, project = headers.get("openai-organization", ""), headers.get("openai-project", "")
        key = headers.get("idempotency-key", "")
        if (
            not (NAMED.fullmatch(organization) and NAMED.fullmatch(project))
            or len(key) > IDEMPOTENCY_KEY_CHARS
        ):
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
            Credentials(headers.get("authorization", ""), organization, project),
            Delivery.parse(headers.get("prefer", ""), key, on_disconnect, headers.get(RETRIES, "0")),
        )

    async def _answer(self, taken: "_Taken", scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = require(await identify(self._resources, taken.credentials), KeyScope.GENERATE)
            await count(caller, self._resources, scope["state"])
            asked = Asked(taken.body, caller, taken.delivery, scope["state"]["request_id"])
            response = await create(asked, taken.document, self._resources)
        except DarkroomError as error:
            response = error_response(error)
        await response(scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A request that was understood."""

    document: dict[str, Any]
    body: GenerationRequest
    credentials: Credentials
    delivery: Delivery


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
