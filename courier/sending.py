"""One try to deliver: a POST, and what its answer says. Redirects are not followed, proxies not used."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpcore2

from courier.guard import AddressNotAllowed, Deadline, GuardedBackend, HostNotFound
from shared.networks import leads_inside
from shared.settings import WebhookSettings
from shared.webhooks import Target

_GONE: Final = 410


@dataclass(frozen=True)
class Answer:
    """What a receiver answered; of its body nothing is kept."""

    status: int
    retry_after_s: float | None = None

    @property
    def taken(self) -> bool:
        """Whether it has the event."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers

    @property
    def gone(self) -> bool:
        """Whether it never wants to hear of anything again."""
        return self.status == _GONE


class Undelivered(Exception):
    """There was no answer.

    Args:
        reason: why, in words that the job's owner may read; nothing of what the other side said.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sender:
    """Posts events.

    Args:
        settings: how long, how much, whereto.
        trusted: whose certificates are trusted; default: whom the system trusts.
    """

    def __init__(self, settings: WebhookSettings, trusted: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._trusted = trusted or httpcore2.default_ssl_context()

    def post(self, target: Target, headers: dict[str, str], body: bytes) -> Answer:
        """Try once.

        Args:
            target: where to.
            headers: of the request, beside those of HTTP itself.
            body: JSON.

        Raises:
            Undelivered: there was no answer.
        """
        deadline = Deadline(self._settings.timeout_s)
        backend = GuardedBackend(deadline, self._allows)
        url = httpcore2.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        with (
            _explained(),
            httpcore2.ConnectionPool(ssl_context=self._trusted, network_backend=backend) as pool,
            pool.stream(
                "POST", url, headers=[("Host", _host(target)), *headers.items()], content=body
            ) as response,
        ):
            answer = Answer(response.status, _retry_after_s(response.headers))
            self._read(response)
            return answer

    def _allows(self, address: str) -> bool:
        return self._settings.allow_private_addresses or not leads_inside(address)

    def _read(self, response: httpcore2.Response) -> None:
        """Read a bounded part of the answer's body, so that nobody's connection is reset in the middle.

        The status has said what it means, whatever becomes of the rest.
        """
        size = 0
        try:
            for piece in response.iter_stream():
                size += len(piece)
                if size > self._settings.max_response_bytes:
                    return
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
            return


def _host(target: Target) -> str:
    usual = {"http": 80, "https": 443}[target.scheme]
    return target.host if target.port == usual else f"{target.host}:{target.port}"


def _retry_after_s(headers: list[tuple[bytes, bytes]]) -> float | None:
    """Return what an answer asks for, in either of HTTP's forms; None where it asks for nothing sane."""
    values = [value for name, value in headers if name.lower() == b"retry-after"]
    text = values[0].decode("latin-1").strip() if values else ""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


@contextmanager
def _explained() -> Iterator[None]:
    """Say in our words why there was no answer.

    Raises:
        Undelivered: there was none.
    """
    try:
        yield
    except HostNotFound as error:
        reason = "there is no host of this name"
        raise Undelivered(reason) from error
    except AddressNotAllowed as error:
        reason = "the host's address leads inside, and nothing is sent there"
        raise Undelivered(reason) from error
    except httpcore2.TimeoutException as error:
        reason = "there was no answer in time"
        raise Undelivered(reason) from error
    except (httpcore2.NetworkError, ssl.SSLError, OSError) as error:
        raise Undelivered(_why_not_connected(error)) from error
    except httpcore2.ProtocolError as error:
        reason = "what was answered is no HTTP"
        raise Undelivered(reason) from error


def _why_not_connected(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return "the receiver's certificate is not trusted, or is for another host"
        if isinstance(seen, ssl.SSLError):
            return "the receiver speaks no TLS, or another one"
        seen = seen.__cause__ or seen.__context__
    return "the receiver cannot be reached, or closed the connection"
