"""Over TLS: to the address that was looked at, under the name that was asked for."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from courier.sending import Answer, Sender, Undelivered
from shared.settings import WebhookSettings
from shared.webhooks import Target
from tests.receiver import LOOPBACK, Receiver
from tests.store_server import Authority

NAME = "hooks.example"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is that of this machine."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")

    def here(_: str, port: int, *__: Any, **___: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (LOOPBACK, port))]

    monkeypatch.setattr(socket, "getaddrinfo", here)


class TlsReceiver:
    """A receiver with a certificate for one name, and the authority that signed it."""

    def __init__(self, folder: Path, name: str) -> None:
        made = Authority(folder, "authority").certificate("receiver", f"DNS:{name}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.cert, made.key)
        context.sni_callback = lambda _, asked, __: self.asked.append(asked)
        self.asked: list[str | None] = []
        self.trusted = ssl.create_default_context(cafile=str(made.authority))
        self.receiver = Receiver(context)


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[TlsReceiver]:
    receiving = TlsReceiver(tmp_path, NAME)
    with receiving.receiver:
        yield receiving


def post(receiving: TlsReceiver, name: str, trusted: ssl.SSLContext | None = None) -> Answer:
    sender = Sender(WebhookSettings(allow_private_addresses=True, timeout_s=5), trusted)
    return sender.post(Target(f"https://{name}:{receiving.receiver.port}/hooks"), {"x": "y"}, b"{}")


def test_the_name_is_what_is_asked_for_and_checked(receiving: TlsReceiver) -> None:
    assert post(receiving, NAME, receiving.trusted).status == 200

    (received,) = receiving.receiver.received
    assert receiving.asked == [NAME]
    assert received.headers["host"] == f"{NAME}:{receiving.receiver.port}"


def test_a_certificate_for_another_name_or_of_an_unknown_authority_gets_nothing(
    receiving: TlsReceiver,
) -> None:
    for name, trusted in (("other.example", receiving.trusted), (NAME, None)):
        with pytest.raises(Undelivered) as refused:
            post(receiving, name, trusted)
        assert refused.value.reason == "the receiver's certificate is not trusted, or is for another host"

    assert receiving.receiver.received == []


def test_a_receiver_that_speaks_no_tls_gets_nothing(receiving: TlsReceiver) -> None:
    with Receiver() as plain:
        receiving.receiver.port = plain.port
        with pytest.raises(Undelivered) as refused:
            post(receiving, NAME, receiving.trusted)

    assert refused.value.reason == "the receiver speaks no TLS, or another one"
    assert plain.received == []


def test_proxies_of_the_environment_are_not_used(
    receiving: TlsReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert post(receiving, NAME, receiving.trusted).status == 200
