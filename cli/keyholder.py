"""Makes, lists and revokes API keys, in Redis itself: whoever reaches Redis is the operator."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError

from cli.reaching import reaching
from cli.run_folder import RunFolder
from cli.valkey import EmbeddedServer
from shared.api_keys import ApiKey, digest, id_of, new_text
from shared.errors import ConfigurationError
from shared.jobs.keys import Keys
from shared.printable import is_printable
from shared.redis_clients import sync_client
from shared.settings import RedisSettings
from shared.webhooks import Defaults


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; ``text`` is not kept anywhere."""

    key: ApiKey
    text: str


class Keyholder:
    """The API keys of a service.

    Args:
        settings: the service's Redis.
        salt: of the digests; the service's ``api.owner_salt``.
    """

    def __init__(self, settings: RedisSettings, salt: bytes) -> None:
        self._client: Any = sync_client(settings)
        self._name = Keys(settings.prefix).api_keys
        self._salt = salt

    def create(self, name: str, **may: Any) -> NewKey:  # noqa: ANN401 - the fields of ApiKey
        """Make a key; ``may`` are fields of :class:`ApiKey`.

        Raises:
            ConfigurationError: A name is too long, or has characters that cannot be shown.
            StoreUnavailable: Redis cannot be reached.
        """
        text = new_text()
        for each in (name, *may.get("models", ())):
            _check_name(each)
        try:
            key = ApiKey(
                id=id_of(text) or "",
                name=name,
                digest=digest(text, self._salt),
                created_at=int(time.time()),
                **{field: value for field, value in may.items() if value not in (None, ())},
            )
        except ValidationError as error:
            wrong = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
            msg = f"there can be no such key: {wrong}"
            raise ConfigurationError(msg) from error
        self._keep(key)
        return NewKey(key, text)

    def all(self) -> list[ApiKey]:
        """Return every key, revoked ones too, the oldest first.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        with reaching():
            words = self._client.hvals(self._name)
        return sorted(map(ApiKey.model_validate_json, words), key=lambda key: (key.created_at, key.id))

    def get(self, key_id: str) -> ApiKey:
        """Return a key.

        Raises:
            ConfigurationError: there is no such key.
            StoreUnavailable: Redis cannot be reached.
        """
        with reaching():
            words = self._client.hget(self._name, key_id)
        if words is None:
            message = f"there is no API key {key_id}; `darkroom keys list` shows them"
            raise ConfigurationError(message)
        return ApiKey.model_validate_json(words)

    def set_webhook(self, key_id: str, defaults: Defaults | None) -> None:
        """Note that a key has a secret for webhooks, and where its jobs are told of; None: it has none.

        Raises:
            ConfigurationError: there is no such key.
            StoreUnavailable: Redis cannot be reached.
        """
        self._keep(self.get(key_id).model_copy(update={"webhook": defaults}))

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key. It stays on the list: a service whose last key was revoked is not open to all.

        Raises:
            ConfigurationError: there is no such key.
            StoreUnavailable: Redis cannot be reached.
        """
        key = self.get(key_id)
        key = key.model_copy(update={"revoked_at": key.revoked_at or int(time.time())})
        self._keep(key)
        return key

    def _keep(self, key: ApiKey) -> None:
        with reaching():
            self._client.hset(self._name, key.id, key.model_dump_json(exclude_none=True))


def _check_name(name: str) -> None:
    """Refuse at the entrance what would have to be shown with marks in it ever after.

    Raises:
        ConfigurationError: It has such characters.
    """
    if not is_printable(name):
        msg = f"{name!r} has characters that cannot be shown on one line; choose another name"
        raise ConfigurationError(msg)


@contextmanager
def store_of(folder: RunFolder, redis: RedisSettings | None) -> Iterator[RedisSettings]:
    """Give the service's Redis: the one named, or the embedded one of a folder.

    The embedded server of a service that runs is found by what `up` noted; where none runs it is started for
    as long as this takes.

    Raises:
        ConfigurationError: the embedded server cannot be reached or started.
    """
    if redis is not None:
        yield redis
        return
    running = folder.running_store()
    if running:
        yield RedisSettings(url=SecretStr(running))
        return
    with folder, EmbeddedServer(folder.data) as server:
        yield RedisSettings(url=SecretStr(server.url))
