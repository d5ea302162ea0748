"""Addresses at which a service is reached, and from which it is asked, as settings name them."""

import pytest

from shared import web_addresses
from shared.errors import ConfigurationError
from shared.settings import ApiSettings, read_settings


@pytest.mark.parametrize("text", ["", "/darkroom", "/a/b-c/d_e~f.g"])
def test_a_prefix_is_nothing_or_a_plain_path(text: str) -> None:
    assert ApiSettings(root_path=text).root_path == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "/",
            "darkroom",
            "/darkroom/",
            "//darkroom",
            "/a//b",
            "/a b",
            "/a%20b",
            "/a?b",
            "/a#b",
            "/ä",
            "/a\n",
        ),
        *("/.", "/..", "/a/../b", "/a/.", "http://a/b", "/a\\b", "/{a}", "/" + "a" * 512),
    ],
)
def test_anything_else_is_no_prefix(text: str) -> None:
    with pytest.raises(ValueError, match="a path like /darkroom"):
        ApiSettings(root_path=text)


@pytest.mark.parametrize("text", ["/v1", "/v1/images", "/docs", "/playground/x", "/metrics"])
def test_a_prefix_does_not_begin_with_an_address_of_the_service(text: str) -> None:
    with pytest.raises(ValueError, match="an address of this service itself"):
        ApiSettings(root_path=text)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("", ""),
        ("https://pictures.example", "https://pictures.example"),
        ("https://pictures.example/", "https://pictures.example"),
        ("HTTPS://Pictures.Example:443/Darkroom/", "https://pictures.example/Darkroom"),
        ("http://[::1]:8000/a/b", "http://[::1]:8000/a/b"),
        ("http://10.0.0.1:80", "http://10.0.0.1"),
        ("https://10.0.0.1:80", "https://10.0.0.1:80"),
    ],
)
def test_a_public_address_is_known_in_one_spelling(text: str, base: str) -> None:
    assert ApiSettings(public_url=text).public_url == base


@pytest.mark.parametrize(
    "text",
    [
        *("pictures.example", "ftp://a", "https://", "https:///a", "https://me:word@a", "https://me@a"),
        *("https://a?b", "https://a/?b", "https://a#b", "https://a/b?", "https://a:0", "https://a:65536"),
        *("https://a:", "https://a b", "https://a/b c", "https://ä", "https://a/../b", "/", "https://a\\@b"),
        "https://a/" + "a" * 512,
    ],
)
def test_what_would_be_no_beginning_of_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an address like https") as raised:
        web_addresses.base(text)

    assert "word" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", ()),
        ("127.0.0.1", ("127.0.0.1",)),
        ("10.0.0.0/8, ::1 ,[fd00::1]", ("10.0.0.0/8", "::1", "fd00::1")),
        ('["10.0.0.1", "FD00::/8"]', ("10.0.0.1", "fd00::/8")),
    ],
)
def test_proxies_are_addresses_and_networks(
    text: str, networks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_API__TRUSTED_PROXIES", text)

    assert read_settings().api.trusted_proxies == networks


@pytest.mark.parametrize(
    "text", ["*", "proxy", "10.0.0.1/8", "10.0.0", "10.0.0.0/33", "10.0.0.1:80", ".", "::/a"]
)
def test_a_proxy_that_could_never_be_known_is_a_configuration_error(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_API__TRUSTED_PROXIES", text)

    with pytest.raises(
        ConfigurationError, match=r"DARKROOM_API__TRUSTED_PROXIES: .*an IP address, or a network"
    ):
        read_settings()


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        (
            "https://Studio.Example:443,http://localhost:3000",
            ("https://studio.example", "http://localhost:3000"),
        ),
        ("app://darkroom, http://[::1]:80", ("app://darkroom", "http://[::1]")),
    ],
)
def test_origins_are_known_as_browsers_say_them(
    text: str, origins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_API__CORS_ORIGINS", text)

    assert read_settings().api.cors_origins == origins


@pytest.mark.parametrize(
    "text",
    [
        *(
            "null",
            "studio.example",
            "https://studio.example/",
            "https://studio.example/a",
            "https://*.example",
        ),
        *(
            "https://me:word@studio.example",
            "https://a:0",
            "https://a:65536",
            "https://a?b",
            "//a",
            "https://ä",
        ),
    ],
)
def test_what_no_browser_would_say_is_a_configuration_error(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_API__CORS_ORIGINS", text)

    with pytest.raises(ConfigurationError, match=r"DARKROOM_API__CORS_ORIGINS: .*an origin like") as raised:
        read_settings()

    assert "word" not in str(raised.value)


def test_all_sites_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_API__CORS_ORIGINS", "*,https://studio.example")

    with pytest.raises(ConfigurationError, match="nothing stands beside it"):
        read_settings()
