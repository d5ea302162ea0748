"""``HEAD`` wherever there is ``GET``: the same answer without its body."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Asks the application it wraps for a ``GET`` where ``HEAD`` comes, and passes on the head of its answer.

    The answer ends with its head, so that whatever streams a body sees its caller leave.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection; no coroutine of its own around a ``GET``: a held call would keep it."""
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        return self._answer_head(scope, receive, send) if is_head else self._app(scope, receive, send)

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        # A copy: the server looks at its own for how to send what comes.
        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, send_head)
        finally:
            scope["route"] = inner.get("route")  # by which requests are counted
