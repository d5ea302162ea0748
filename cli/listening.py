"""A receiver of webhooks for whoever develops one: says what arrives, and passes it on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MAX_BODY_BYTES: Final = 1024 * 1024
_FORWARD_TIMEOUT_S: Final = 8.0
"""Shorter than what sends waits: so that it learns what the other side answered."""
_PASSED_ON: Final = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature", "user-agent")


@dataclass(frozen=True)
class Listener:
    """Takes webhooks.

    Attributes:
        say: prints a line.
        secret: what must have signed them; None: that is not looked at.
        forward: where they are posted to as they came; None: nowhere.
    """

    say: Callable[[str], None]
    secret: str | None = None
    forward: str | None = None

    def app(self) -> Starlette:
        """Return the application that listens at every path."""
        return Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                self.say(f"refused: more than {MAX_BODY_BYTES} bytes")
                return Response(status_code=413)
        verdict = self._verdict(bytes(body), dict(request.headers))
        self.say(f"{described(bytes(body))}  {verdict}")
        if self.forward is None:
            return Response(status_code=200)
        return Response(status_code=await self._pass_on(self.forward, request, bytes(body)))

    def _verdict(self, body: bytes, headers: dict[str, str]) -> str:
        """Return whether it was signed with the secret, in words."""
        if self.secret is None:
            return "not verified: no secret is given"
        try:
            Webhook(self.secret).verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            return f"NOT VERIFIED: {error}"
        return "verified"

    async def _pass_on(self, url: str, request: Request, body: bytes) -> int:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            async with httpx2.AsyncClient(timeout=_FORWARD_TIMEOUT_S) as client:
                answer = await client.post(url, content=body, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            self.say(f"  → not passed on: {type(error).__name__}")
            return 502
        self.say(f"  → {answer.status_code}")
        return answer.status_code


def described(body: bytes) -> str:
    """Return what an event says, on one line."""
    try:
        event: Any = json.loads(body)
        job = event["data"]
        about = _code(job) or job.get("result_url")
        words = [event["timestamp"], event["type"], job["id"], job["model"], about]
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"no event of this service, {len(body)} bytes"
    return "  ".join(str(word) for word in words if word)


def _code(job: dict[str, Any]) -> str | None:
    error = job.get("error")
    return error.get("code") if isinstance(error, dict) else None
