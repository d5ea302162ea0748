"""The key of the hashes that stand for owners, users and API keys: a random one, where it can be kept.

A hash under the default, which everybody knows, can be guessed from a name; and a key's digest is made under
the salt that the API has. So the salt is there before the first key: `darkroom up` makes one at its first
start and keeps it in its folder, where `darkroom keys` finds it. Where something else starts the API, only
its environment can hold it.
"""

import os
import secrets
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from cli.reaching import reaching
from cli.run_folder import RunFolder
from shared.errors import ConfigurationError
from shared.jobs.keys import Keys
from shared.redis_clients import sync_client
from shared.settings import ApiSettings, RedisSettings

VARIABLE: Final = "DARKROOM_API__OWNER_SALT"
PUBLIC: Final = ApiSettings().owner_salt
_BYTES: Final = 32


def new_salt() -> str:
    """Return a salt that nobody guesses."""
    return secrets.token_hex(_BYTES)


def is_set(api: ApiSettings) -> bool:
    """Whether somebody chose a salt, be it the public one."""
    return "owner_salt" in api.model_fields_set


def is_public(salt: SecretStr) -> bool:
    """Whether everybody knows this salt."""
    return salt.get_secret_value() in {"", PUBLIC.get_secret_value()}


class OwnerSalt:
    """The salt of an embedded store, in the folder that `darkroom up` runs in.

    Args:
        folder: of the service.
        api: the settings; a salt that is set there goes above the folder's.
    """

    def __init__(self, folder: RunFolder, api: ApiSettings) -> None:
        self._folder = folder
        self._file = folder.path / "owner.salt"
        self._api = api

    def now(self) -> SecretStr:
        """Return the salt that a service would start with as things are.

        Raises:
            ConfigurationError: The file with the salt cannot be read, or has none.
        """
        return self._api.owner_salt if is_set(self._api) else self._kept() or PUBLIC

    def at_start(self, redis: RedisSettings) -> SecretStr:
        """Return the salt to start a service with: made now, where nothing was hashed under the public one.

        Raises:
            ConfigurationError: The file with the salt cannot be read or written.
        """
        if is_public(self.now()) and not is_set(self._api) and not _has_owners(redis):
            self._make()
        return self.now()

    def for_a_new_key(self, redis: RedisSettings, *, running: bool) -> SecretStr:
        """Return the salt to make a key under.

        With the first key nobody without one is served any more, so what was hashed before is nobody's, and
        the salt can still be made; but a service that runs knows nothing of it until it is started again.

        Args:
            redis: the embedded store.
            running: whether a service has it, rather than this process.

        Raises:
            ConfigurationError: A service that runs has the public salt, or the file is unusable.
        """
        if not is_public(self.now()) or is_set(self._api) or count_keys(redis):
            return self.now()
        if running:
            msg = (
                f"the service in {self._folder.path} was started with the salt that everybody knows: "
                "stop it, make the key, and start it again. If it was started with a salt of its own, this "
                f"command needs the same {VARIABLE}"
            )
            raise ConfigurationError(msg)
        self._make()
        return self.now()

    def _make(self) -> None:
        """Write a new salt, whole or not at all, for nobody else to read."""
        new = self._file.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(new_salt() + "\n")
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError as error:
            raise _unusable(self._file, f"cannot be written: {error.strerror}") from error

    def _kept(self) -> SecretStr | None:
        try:
            text = self._file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(self._file, "cannot be read") from error
        if not text:
            # Never the public one in its place: the keys that there are would stop to open.
            raise _unusable(self._file, "is empty")
        return SecretStr(text)


def warning_of_the_public_salt(redis: RedisSettings) -> str:
    """Return what to say before a key is made under the public salt.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    count = count_keys(redis)
    already = f", and make the {count} that there are already anew" if count else ""
    return (
        "this key would be kept under the salt that everybody knows, and under another one it opens nothing. "
        f"First set one for the API and for this command, start the API again{already}:\n"
        f"  {VARIABLE}={new_salt()}"
    )


def count_keys(redis: RedisSettings) -> int:
    """Return how many keys were made.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    client: Any
    with reaching(), sync_client(redis) as client:
        return int(client.hlen(Keys(redis.prefix).api_keys))


def _has_owners(redis: RedisSettings) -> bool:
    """Whether anything in the store is of an owner: a key, or a job that its caller could still ask for."""
    client: Any
    with reaching(), sync_client(redis) as client:
        some = client.scan_iter(match=Keys(redis.prefix).history("*"), count=1000)
        return count_keys(redis) > 0 or next(some, None) is not None


def _unusable(file: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"{file}, the salt of this service's keys, {why}")
