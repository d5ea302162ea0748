"""A prefix before every path: taken off on the way in, put before each path of ours on the way out."""

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.http.prefix import Prefix, without_prefix


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/darkroom/v1/models", "/v1/models"),
        ("/v1/models", "/v1/models"),
        ("/darkroom/", "/"),
        ("/darkroom", ""),
        ("/darkroom//v1", "//v1"),
        ("/darkroomy/v1", "/darkroomy/v1"),
        ("/a/darkroom/v1", "/a/darkroom/v1"),
        ("/Darkroom/v1", "/Darkroom/v1"),
        ("", ""),
    ],
)
def test_a_prefix_is_taken_off_once_and_whole(path: str, route: str) -> None:
    assert without_prefix(path, "/darkroom") == route


@pytest.mark.parametrize(
    ("location", "said"),
    [
        (b"/v1/images/jobs/1", b"/darkroom/v1/images/jobs/1"),
        (b"/", b"/darkroom/"),
        (b"https://elsewhere.example/a", b"https://elsewhere.example/a"),
        (b"//elsewhere.example/a", b"//elsewhere.example/a"),
        (b"docs", b"docs"),
    ],
)
async def test_only_a_location_that_is_a_path_gets_it(location: bytes, said: bytes) -> None:
    sent: list[Message] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        assert scope["path"] == "/x"
        headers = [(b"location", location), (b"x-path", b"/x")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": b"/x"})

    async def receive() -> Message:
        raise NotImplementedError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "path": "/darkroom/x"}
    await Prefix(app, "/darkroom")(scope, receive, send)

    assert sent[0]["headers"] == [(b"location", said), (b"x-path", b"/x")]
    assert sent[1]["body"] == b"/x"
