"""Whom the service believes how it is reached, and what it makes of that: the base of its addresses."""

from typing import Any, Final

import pytest
from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from api.http.addresses import base_of
from cli.ports import LOOPBACK
from tests.http_caller import assert_error
from tests.integration.conftest import Serve, Service

HERE: Final = f"{LOOPBACK},::1"
SPOOFED: Final = {
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "evil.example",
    "x-forwarded-prefix": "/evil",
    "x-forwarded-port": "1",
    "forwarded": "for=203.0.113.7;host=evil.example;proto=https",
}


def telling(serve: Serve, **api: Any) -> Service:
    """Start a service that also tells its own base, and where it thinks that it was asked from."""
    service = serve(api=api)

    async def told(request: Request) -> Response:
        return PlainTextResponse(f"{base_of(request)} {request.client.host if request.client else ''}")

    service.api.app.add_api_route("/told", told)
    return service


def told(service: Service, **headers: str) -> list[str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = service.caller.http.get("/told", headers=named)
    assert answer.status_code == 200
    return answer.text.split(" ")


def test_the_base_is_what_the_request_says(serve: Serve) -> None:
    service = telling(serve, allowed_hosts="pictures.example")

    assert told(service) == [service.api.url, LOOPBACK]
    assert told(service, host="pictures.example:8443") == ["http://pictures.example:8443", LOOPBACK]


def test_the_base_has_the_prefix_however_the_request_came(serve: Serve) -> None:
    service = telling(serve, root_path="/darkroom")

    assert told(service)[0] == f"{service.api.url}/darkroom"
    below = service.caller.http.get("/darkroom/told")
    assert below.text.split(" ")[0] == f"{service.api.url}/darkroom"


def test_a_public_address_is_the_base_whatever_the_request_says(serve: Serve) -> None:
    service = telling(serve, root_path="/a", public_url="https://pictures.example/b/", trusted_proxies=HERE)

    assert told(service, x_forwarded_proto="http")[0] == "https://pictures.example/b"


@pytest.mark.parametrize("trusted", ["", "192.0.2.1", "10.0.0.0/8,fd00::/8"])
def test_nobody_is_believed_who_is_not_named(serve: Serve, trusted: str) -> None:
    """Not this machine either, which uvicorn believes where nobody says otherwise."""
    service = telling(serve, trusted_proxies=trusted)

    assert told(service, **SPOOFED) == [service.api.url, LOOPBACK]


@pytest.mark.parametrize("trusted", [LOOPBACK, "127.0.0.0/8", f"192.0.2.1,{LOOPBACK}"])
def test_a_proxy_that_is_named_says_scheme_and_caller_and_no_more(serve: Serve, trusted: str) -> None:
    """It passes the host on as ``Host``: a page that rebinds its name could send any other header."""
    service = telling(serve, trusted_proxies=trusted)

    base, client = told(service, **SPOOFED)

    assert base == service.api.url.replace("http://", "https://")
    assert client == "203.0.113.7"


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("anything, 203.0.113.7:4711, 10.1.2.3", "203.0.113.7"),
    ],
)
def test_of_several_the_last_that_no_proxy_is_called(serve: Serve, said: str, client: str) -> None:
    service = telling(serve, trusted_proxies=f"{LOOPBACK},10.0.0.0/8")

    assert told(service, x_forwarded_for=said)[1] == client


@pytest.mark.parametrize("scheme", ["", "ftp", "javascript", "https,http", "HTTPS"])
def test_a_scheme_that_is_none_is_none(serve: Serve, scheme: str) -> None:
    service = telling(serve, trusted_proxies=HERE)

    assert told(service, x_forwarded_proto=scheme)[0] == service.api.url


@pytest.mark.parametrize("trusted", ["", HERE], ids=["nobody", "the proxy"])
def test_no_forwarded_name_opens_a_service_without_a_key(serve: Serve, trusted: str) -> None:
    """Whoever is believed: ``Host`` decides, and a page of another site stays one."""
    http = serve(api={"trusted_proxies": trusted, "allowed_hosts": "pictures.example"}).caller.http
    spoofed = {name: value.replace("evil.example", "localhost") for name, value in SPOOFED.items()}

    rebound = http.get("/v1/models", headers={**spoofed, "host": "evil.example"})
    assert_error(rebound, 403, "host_not_allowed", param="Host")
    foreign = {**SPOOFED, "host": "pictures.example", "origin": "http://evil.example"}
    assert_error(http.get("/v1/models", headers=foreign), 403, "origin_not_allowed", param="Origin")
    known = http.get("/v1/models", headers={**SPOOFED, "host": "pictures.example"})
    assert known.status_code == 200
