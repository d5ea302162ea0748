"""What a webhook may be, where it goes, and what signs it."""

import base64

import pytest
from pydantic import ValidationError

from shared.webhooks import ALL_EVENTS, OVERLAP_S, Event, Signing, Target, Webhook, new_secret


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://shop.example", ("https", "shop.example", 443, "/")),
        ("http://shop.example/", ("http", "shop.example", 80, "/")),
        ("https://shop.example:8443/a/b?c=d&e=@x", ("https", "shop.example", 8443, "/a/b?c=d&e=@x")),
        ("https://shop.example?token=1", ("https", "shop.example", 443, "/?token=1")),
        ("http://10.0.0.1:65535/x%20y", ("http", "10.0.0.1", 65535, "/x%20y")),
        ("http://web_1/", ("http", "web_1", 80, "/")),
        ("https://xn--bcher-kva.example/", ("https", "xn--bcher-kva.example", 443, "/")),
    ],
)
def test_an_address_is_read_in_one_way(url: str, parts: tuple[str, str, int, str]) -> None:
    target = Target(Webhook(url=url).url)

    assert (target.scheme, target.host, target.port, target.path) == parts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "//shop.example",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "gopher://shop.example/",
        "HTTPS://shop.example/",
        "https:/shop.example",
        "https://",
        "https:///path",
        "https://user@shop.example/",
        "https://user:password@shop.example/",
        "https://@shop.example/",
        "https://shop.example:0/",
        "https://shop.example:65536/",
        "https://shop.example:/",
        "https://shop.example:80a/",
        "https://shop.example#fragment",
        "https://shop.example/#fragment",
        "https://bücher.example/",
        "https://shop.example/ä",
        "https://shop.example/a b",
        "https://shop.example/\r\nx-injected: 1",
        "https://shop.example/\n",
        "https://shop.example\\@other.example/",
        "https://[::1]/",
        "https://-shop.example/",
        "https://shop..example/",
        " https://shop.example/",
        "https://shop.example/" + "x" * 2048,
    ],
)
def test_what_is_no_address_or_could_be_read_otherwise_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Webhook(url=url)
    with pytest.raises(ValueError, match="no URL"):
        Target(url)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, ALL_EVENTS),
        ({"events": None}, ALL_EVENTS),
        ({"events": ["job.failed", "job.succeeded", "job.failed"]}, (Event.SUCCEEDED, Event.FAILED)),
    ],
)
def test_events_are_all_by_default_and_otherwise_each_once(given: object, read: object) -> None:
    assert isinstance(given, dict)
    assert Webhook.model_validate({"url": "https://shop.example/", **given}).events == read


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": []},
        {"events": ["job.started"]},
        {"events": "job.failed"},
        {"events": ["job.failed"] * 17},
        {"secret": "whsec_mine"},
    ],
)
def test_events_that_there_are_not_and_more_members_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        Webhook.model_validate({"url": "https://shop.example/?token=marker-of-a-token", **wrong})

    assert "marker-of-a-token" not in str(refused.value)


def test_a_secret_is_32_random_bytes_as_the_standard_writes_them() -> None:
    first, second = new_secret(), new_secret()

    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32


def test_a_rotated_secret_signs_beside_its_successor_for_a_day() -> None:
    first = Signing.new(1000)
    second = first.rotated(5000)
    third = second.rotated(6000)

    assert first.at(1000) == (first.secret,)
    assert second.at(5000 + OVERLAP_S - 1) == (second.secret, first.secret)
    assert second.at(5000 + OVERLAP_S) == (second.secret,)
    assert third.at(6000) == (third.secret, second.secret)
