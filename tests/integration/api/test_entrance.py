"""Who is answered: what is unambiguous, and while there is no key what is meant for this service."""

import json
import socket
from contextlib import closing
from typing import Any, Final

import pytest

from cli.keyholder import Keyholder
from cli.ports import LOOPBACK
from cli.valkey import EmbeddedServer
from tests.http_caller import GENERATIONS, JOBS, assert_error
from tests.integration.conftest import Serve, Service

PATHS: Final = (
    "/", "/playground/style.css", "/static-offline-docs/swagger-ui.css", "/docs", "/openapi.json",
    "/healthz", "/readyz",
    "/metrics", "/v1/models", "/v1/operator", "/v1/usage", JOBS, f"{JOBS}/{'0' * 32}",
    "/nowhere", "/v1/images/edits",
)  # fmt: skip
BODY: Final = b'{"prompt": "a tiny picture"}'


@pytest.fixture(scope="module")
def listed(serve_module: Serve) -> Service:
    """A service without a key that has names of its own."""
    names = ("pictures.example", ".all.example", "*.below.example", "fd00::7")
    # Jobs are taken however long these tests last.
    return serve_module(api={"allowed_hosts": names}, jobs={"queue_without_worker": True})


def ask(service: Service, *lines: str, method: str = "GET", path: str = "/healthz", body: bytes = b"") -> Any:
    """Send a head as it is; return the status and the error, if it is one."""
    port = int(service.api.url.rpartition(":")[2])
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Connection: close", *lines, "", ""]).encode("latin-1")
    with closing(socket.create_connection((LOOPBACK, port), timeout=10)) as connection:
        connection.sendall(head + body)
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    first, _, rest = said.partition(b"\r\n\r\n")
    status = int(first.split(b" ")[1])
    assert b"x-request-id: " in first
    assert b"access-control-" not in first.lower()
    return status, (json.loads(rest)["error"] if status >= 400 and method != "HEAD" else None)


def refused(service: Service, *lines: str, **how: Any) -> tuple[int, str, str | None]:
    status, error = ask(service, *lines, **how)
    assert error is not None, status
    assert set(error) == {"message", "type", "param", "code"}
    return status, error["code"], error["param"]


def post(service: Service, *lines: str, path: str = GENERATIONS, **how: Any) -> Any:
    json_ = ("Content-Type: application/json", f"Content-Length: {len(BODY)}", "Prefer: respond-async")
    return ask(service, *json_, *lines, method="POST", path=path, body=BODY, **how)


@pytest.mark.parametrize("path", PATHS)
def test_a_name_that_is_not_known_gets_nothing_from_any_path(listed: Service, path: str) -> None:
    for host in ("evil.example:8000", "localhost.evil.example", "192.168.1.9", "0.0.0.0", "[::2]"):
        status, error = ask(listed, f"Host: {host}", path=path)

        assert (status, error["code"], error["param"]) == (403, "host_not_allowed", "Host"), host
        assert "DARKROOM_API__ALLOWED_HOSTS" in error["message"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_name_that_is_not_known_gets_nothing_by_any_method(listed: Service, method: str) -> None:
    for path in (GENERATIONS, JOBS, "/v1/models/tiny"):
        assert ask(listed, "Host: evil.example", method=method, path=path)[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:1", "localhost.", "a.localhost:8000", "127.0.0.1", "127.9.9.9:80",
        "[::1]:8000", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
        "pictures.example", "Pictures.Example.:443", "all.example", "a.b.all.example",
        "a.below.example", "[fd00:0::7]:8000", "localhost:",
    ],
)  # fmt: skip
def test_this_machine_s_names_and_those_on_the_list_are_answered(listed: Service, host: str) -> None:
    assert ask(listed, f"Host: {host}")[0] == 200
    assert post(listed, f"Host: {host}")[0] == 202


@pytest.mark.parametrize(
    "host", ["below.example", "xall.example", "a.pictures.example", "pictures.example.org"]
)
def test_what_only_looks_like_a_name_on_the_list_is_not_answered(listed: Service, host: str) -> None:
    assert refused(listed, f"Host: {host}") == (403, "host_not_allowed", "Host")


def test_where_all_addresses_are_listened_on_the_connection_s_own_counts(serve: Serve) -> None:
    # The test's server listens on a loopback address; which others count is for tests/unit/api/test_hosts.py.
    service = serve(api={"host": "0.0.0.0", "open": True, "published_on": "pictures.example"})

    assert ask(service, "Host: 127.0.0.1")[0] == 200
    assert ask(service, "Host: pictures.example")[0] == 200
    assert refused(service, "Host: 192.168.1.9") == (403, "host_not_allowed", "Host")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("lines", "param"),
    [
        ((), "Host"),
        (("Host: localhost", "Host: localhost"), "Host"),
        (("Host: localhost", "host: evil.example"), "Host"),
        (("Host:",), "Host"),
        (("Host: http://localhost",), "Host"),
        (("Host: localhost/x",), "Host"),
        (("Host: a b",), "Host"),
        (("Host: user@localhost",), "Host"),
        (("Host: localhost, evil.example",), "Host"),
        (("Host: localhost:port",), "Host"),
        (("Host: .",), "Host"),
        (("Host: localhost", "Authorization: Bearer a", "Authorization: Bearer b"), "Authorization"),
    ],
)
def test_an_ambiguous_head_is_a_400_on_every_path(
    listed: Service, path: str, lines: tuple[str, ...], param: str
) -> None:
    assert refused(listed, *lines, path=path) == (400, "invalid_http", param)


def test_an_old_request_needs_a_host_too(listed: Service) -> None:
    port = int(listed.api.url.rpartition(":")[2])
    with closing(socket.create_connection((LOOPBACK, port), timeout=10)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer key", "Content-Type: application/json", "Idempotency-Key: a",
        "OpenAI-Project: a", "OpenAI-Organization: a", "x-stainless-retry-count: 1",
        "Origin: http://localhost", "Content-Encoding: identity",
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", [BODY, b'{"prompt": 7}'], ids=["the short way", "the framework's"])
def test_a_header_that_may_come_once_and_comes_twice_is_named(
    listed: Service, line: str, body: bytes
) -> None:
    name = line.partition(":")[0]
    length = f"Content-Length: {len(body)}"
    kind = () if name == "Content-Type" else ("Content-Type: application/json",)

    found = refused(
        listed, "Host: localhost", length, *kind, line, line, method="POST", path=GENERATIONS, body=body
    )

    assert found == (400, "invalid_http", name)


def test_what_is_preferred_in_two_headers_is_preferred_as_in_one(listed: Service) -> None:
    first = (
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
        "Prefer: wait=30",
        "Host: localhost",
    )

    status, _ = ask(
        listed, *first, "Prefer: respond-async, wait=0", method="POST", path=GENERATIONS, body=BODY
    )

    assert status == 202


OTHER_SITES: Final = (
    "http://evil.example", "https://localhost:8000", "http://localhost:3000", "http://127.0.0.1:8000",
    "null", "",
    "http://localhost:8000.evil.example", "http://localhost", "file://", "chrome-extension://abc",
)  # fmt: skip


@pytest.mark.parametrize("origin", OTHER_SITES)
def test_a_page_of_another_site_gets_nothing_and_changes_nothing(listed: Service, origin: str) -> None:
    head = ("Host: localhost:8000", f"Origin: {origin}")
    if origin == "https://localhost:8000":
        # A proxy that ends TLS may pass the host on as it is, and the port is not a default one.
        assert ask(listed, *head, path=JOBS)[0] == 200
        return

    for method, path in (
        ("GET", JOBS),
        ("GET", "/v1/operator"),
        ("DELETE", f"{JOBS}/{'0' * 32}"),
        ("OPTIONS", JOBS),
    ):
        assert refused(listed, *head, method=method, path=path) == (403, "origin_not_allowed", "Origin")
    status, error = post(listed, *head)
    assert (status, error["code"]) == (403, "origin_not_allowed")
    assert "DARKROOM_API__ALLOWED_HOSTS" in error["message"]


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("LocalHost:8000", "http://localhost:8000"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("pictures.example", "https://pictures.example"),
        ("pictures.example:443", "https://pictures.example"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("127.0.0.1:8000", "https://pictures.example:8443"),
        ("127.0.0.1:8000", "https://a.all.example"),
    ],
)
def test_the_service_s_own_page_and_those_of_hosts_on_the_list_are_answered(
    listed: Service, host: str, origin: str
) -> None:
    assert post(listed, f"Host: {host}", f"Origin: {origin}")[0] == 202


def test_what_a_page_asks_for_without_seeing_the_answer_is_refused_and_a_link_is_not(listed: Service) -> None:
    for site in ("cross-site", "same-site"):
        head = ("Host: localhost", f"Sec-Fetch-Site: {site}")
        assert refused(listed, *head, path=JOBS) == (403, "origin_not_allowed", "Origin")
        assert ask(listed, *head, "Sec-Fetch-Mode: navigate", path=JOBS)[0] == 200
    for site in ("same-origin", "none"):
        assert ask(listed, "Host: localhost", f"Sec-Fetch-Site: {site}", path=JOBS)[0] == 200


def test_with_a_key_the_key_is_what_counts(serve: Serve) -> None:
    service = serve()
    api, redis = service.api.settings.api, service.api.settings.redis
    text = Keyholder(redis, api.owner_salt.get_secret_value().encode()).create("a test's").text
    head = ("Host: pictures.example", "Origin: https://another.example")

    assert post(service, *head, f"Authorization: Bearer {text}")[0] == 202
    assert post(service, *head)[1]["code"] == "invalid_api_key"
    assert ask(service, *head)[0] == 200
    assert refused(service, "Host: a", "Host: b") == (400, "invalid_http", "Host")


def test_while_nobody_knows_whether_there_is_a_key_a_name_that_is_not_known_gets_a_503(serve: Serve) -> None:
    with EmbeddedServer() as server:
        service = serve(server=server)
    # The server has ended.
    for path in ("/healthz", JOBS, "/metrics"):
        assert refused(service, "Host: evil.example", path=path)[:2] == (503, "store_unavailable")
    assert ask(service, "Host: localhost")[0] == 200


def test_a_host_on_the_list_costs_no_question_to_the_store(service: Service) -> None:
    def commands() -> int:
        return int(service.worker.client.info("commandstats").get("cmdstat_hlen", {}).get("calls", 0))

    before = commands()
    for _ in range(5):
        assert ask(service, "Host: localhost")[0] == 200
    assert commands() == before


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        ("Content-Encoding: gzip", "unsupported_encoding", "Content-Encoding"),
        ("Content-Encoding: identity, br", "unsupported_encoding", "Content-Encoding"),
        ("Content-Type: application/json; charset=latin-1", "unsupported_charset", "Content-Type"),
        ('Content-Type: application/json; a=b; charset="UTF-16"', "unsupported_charset", "Content-Type"),
        ("Content-Type: text/plain; charset=utf-8", "not_json", None),
    ],
)
def test_a_body_that_is_not_plain_utf_8_is_refused_by_name(
    listed: Service, line: str, code: str, param: str | None
) -> None:
    kind = () if line.startswith("Content-Type") else ("Content-Type: application/json",)
    head = ("Host: localhost", f"Content-Length: {len(BODY)}", *kind, line)

    assert refused(listed, *head, method="POST", path=GENERATIONS, body=BODY) == (415, code, param)


@pytest.mark.parametrize(
    "line",
    [
        "Content-Type: application/json; charset=utf-8",
        'Content-Type: application/json;charset="UTF8"',
        "Content-Type: application/json; profile=a",
        "Content-Encoding: Identity",
    ],
)
def test_what_says_in_other_words_that_it_is_plain_utf_8_is_taken(listed: Service, line: str) -> None:
    kind = () if line.startswith("Content-Type") else ("Content-Type: application/json",)
    head = ("Host: localhost", f"Content-Length: {len(BODY)}", "Prefer: respond-async", *kind, line)

    assert ask(listed, *head, method="POST", path=GENERATIONS, body=BODY)[0] == 202


def test_a_refusal_is_counted_and_has_the_headers_of_every_answer(listed: Service) -> None:
    answer = listed.caller.http.get("/metrics", headers={"Host": "evil.example"})

    assert_error(answer, 403, "host_not_allowed", param="Host")
    assert answer.headers["content-security-policy"]
    assert 'code="host_not_allowed"' in listed.caller.http.get("/metrics").text
