"""An answer that comes before the request has been read, on a connection that ends with it.

A server that closes a connection on which something still comes resets it, and the client may lose the answer
that it was sent. So the end of the answer waits until the request is over; whoever goes by its length has it.
"""

from typing import Final

from starlette.types import Message, Receive, Scope, Send

_NO_MORE: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": False}


class Unread:
    """Sees how much of a request's body is read, and ends its answer accordingly.

    Args:
        scope: that of the request.
        receive: the server's.
        send: the server's.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._expects = any(name == b"expect" for name, _ in scope["headers"])
        self._asked = False
        self._over = False

    @staticmethod
    def matters(scope: Scope) -> bool:
        """Whether the end of the answer has to wait: there may be a body, and the connection ends or asks."""
        if scope["method"] in {"GET", "HEAD"}:
            return False
        headers = scope["headers"]
        ends = scope["http_version"] == "1.0" or any(
            name == b"connection" and b"close" in value.lower() for name, value in headers
        )
        return ends or any(name == b"expect" for name, _ in headers)

    async def receive(self) -> Message:
        """Return what the server has."""
        self._asked = True
        message = await self._receive()
        self._over = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send; the last piece when there is nothing more to come."""
        if message["type"] == "http.response.start" and self._expects and not self._asked:
            # The client was not told to go on. What it sends next would be this body or another request.
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            self._over = True
        if message["type"] != "http.response.body" or message.get("more_body", False) or self._over:
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._read_on()
        await self._send(_NO_MORE)

    async def _read_on(self) -> None:
        while not self._over:
            await self.receive()
