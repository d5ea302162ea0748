"""Why Redis could not be used, in words that hold no part of a password.

What a driver or a server says is quoted only as far as it is known to repeat nothing that was sent: a server
that knows no ``AUTH`` repeats its arguments, and whatever else listens at a wrong port says what it likes.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from enum import Enum
from typing import Final

import redis

from shared.addresses import without_arguments
from shared.errors import DarkroomError
from shared.printable import printable

_LONGEST: Final = 300


class Trouble(Enum):
    """What kind of trouble there is, each with its words."""

    WRONG_LOGIN = "it does not take this user and password"
    NO_LOGIN = "it wants a password, and its address has none"
    NEEDLESS_LOGIN = "it has no password for this user, and its address has one"
    NO_REDIS = "what listens at this port is no Redis or Valkey"
    REFUSED = "nothing listens at this port"
    NO_SUCH_HOST = "there is no host of this name"
    NO_WAY = "there is no way to this host"
    SILENT = "nothing came in time (nor does it to rediss:// from a server without TLS)"
    CERTIFICATE = "its certificate is not trusted"
    NO_TLS = "it speaks no TLS, or another one"
    OTHER = ""

    @property
    def is_of_login(self) -> bool:
        """Whether the server is there and only user and password are wrong."""
        return self in {Trouble.WRONG_LOGIN, Trouble.NO_LOGIN, Trouble.NEEDLESS_LOGIN}


_BY_ERRNO: Final = {
    errno.ECONNREFUSED: Trouble.REFUSED,
    errno.EHOSTUNREACH: Trouble.NO_WAY,
    errno.ENETUNREACH: Trouble.NO_WAY,
    errno.ETIMEDOUT: Trouble.SILENT,
}
# What is not our own words of it, from the most telling to the least.
_BY_CLASS: Final = (
    (redis.exceptions.InvalidResponse, Trouble.NO_REDIS),
    (ssl.SSLCertVerificationError, Trouble.CERTIFICATE),
    (ssl.SSLError, Trouble.NO_TLS),
    (socket.gaierror, Trouble.NO_SUCH_HOST),
    ((redis.exceptions.TimeoutError, TimeoutError), Trouble.SILENT),
)


def trouble_of(error: BaseException) -> Trouble:
    """Return which trouble an error of a driver tells of."""
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, redis.exceptions.AuthenticationError):
            return _of_login(str(one))
    for classes, trouble in _BY_CLASS:
        if any(isinstance(one, classes) for one in chain):
            return trouble
    numbers = (one.errno for one in chain if isinstance(one, OSError))
    return next((_BY_ERRNO[number] for number in numbers if number in _BY_ERRNO), Trouble.OTHER)


def reason_of(error: BaseException) -> str:
    """Return why Redis could not be reached or refused; there is no part of a password in it."""
    cause = error.__cause__ if isinstance(error, DarkroomError) and error.__cause__ else error
    trouble, name = trouble_of(cause), type(cause).__name__
    said = "" if trouble is Trouble.NO_REDIS else printable(without_arguments(str(cause)), _LONGEST)
    return ": ".join(filter(None, (trouble.value, name, said)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of; drivers put the telling one behind their own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _of_login(said: str) -> Trouble:
    if "Authentication required" in said:
        return Trouble.NO_LOGIN
    if "without any password configured" in said or "no password is set" in said:
        return Trouble.NEEDLESS_LOGIN
    return Trouble.WRONG_LOGIN
