"""Which names and addresses are this service, for each way of listening."""

import pytest

from api.http.hosts import Authority, Hosts, Origin
from shared.settings import ApiSettings


def knows(asked: str, server: str = "127.0.0.1", /, **settings: object) -> bool:
    authority = Authority.parse(asked)
    assert authority is not None
    return Hosts(ApiSettings.model_validate(settings)).knows(authority.host, (server, 8000))


def test_where_all_addresses_are_listened_on_only_the_connection_s_own_counts() -> None:
    for everywhere, own, other in (("0.0.0.0", "10.0.0.7", "10.0.0.8"), ("::", "[fd00::7]", "[fd00::8]")):
        server = own.strip("[]")
        assert knows(own, server, host=everywhere)
        assert not knows(other, server, host=everywhere)
        assert not knows(own, server)
        assert not knows(f"[{everywhere}]" if ":" in everywhere else everywhere, server, host=everywhere)
    assert knows("10.0.0.7", "::ffff:10.0.0.7", host="::")


def test_the_address_bound_to_and_the_one_published_on_are_known() -> None:
    assert knows("10.0.0.7:1", host="10.0.0.7")
    assert not knows("10.0.0.8", host="10.0.0.7")
    assert knows("Box.lan.", host="box.lan")
    assert knows("pictures.example", published_on="pictures.example")
    assert knows("[fd00::7]", published_on="[fd00:0::7]")


def test_published_on_all_addresses_any_address_is_known_and_no_name() -> None:
    everywhere = {"host": "0.0.0.0", "published_on": "0.0.0.0"}

    assert knows("192.168.1.9", "172.18.0.3", **everywhere)
    assert not knows("evil.example", "172.18.0.3", **everywhere)


@pytest.mark.parametrize("server", [None, ("/run/api.sock", None)])
def test_a_connection_without_an_address_is_none_of_them(server: tuple[str, None] | None) -> None:
    assert not Hosts(ApiSettings(host="0.0.0.0")).knows("10.0.0.7", server)


@pytest.mark.parametrize(
    "text", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "evil.example", "localhost.evil"]
)
def test_what_is_no_address_as_it_is_written_is_a_name(text: str) -> None:
    assert not knows(text)


@pytest.mark.parametrize(
    "text", ["", ".", ":80", "a:b", "a b", "a/b", "u@a", "a,b", "[::1", "::1", "a:123456", "é", "*"]
)
def test_what_names_no_host_is_none(text: str) -> None:
    assert Authority.parse(text) is None


@pytest.mark.parametrize("text", ["", "null", "localhost", "http://", "http://a/b", "://a", "http://u@a"])
def test_what_names_no_site_is_none(text: str) -> None:
    assert Origin.parse(text) is None
