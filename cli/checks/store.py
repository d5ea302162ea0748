"""Redis or Valkey, and the API keys in it."""

from typing import Any, Final

from pydantic import SecretStr

from cli.checks.finding import Finding, Verdict
from cli.owner_salt import OwnerSalt, is_public
from cli.run_folder import RunFolder
from cli.servers import (
    NO_SERVER,
    OLDEST_VERSION,
    ServerBinary,
    address_of,
    installed_servers,
    running_version,
    version_text,
)
from shared.errors import ConfigurationError, StoreUnavailable
from shared.jobs.keys import Keys
from shared.redis_clients import UNREACHABLE, sync_client
from shared.redis_reasons import Trouble, trouble_of
from shared.settings import ApiSettings, RedisSettings

_NEW_SALT: Final = (
    "set DARKROOM_API__OWNER_SALT to a random text (openssl rand -hex 32) and make the keys anew"
)
_KEEPS: Final = "noeviction"
_START: Final = "start it, or unset DARKROOM_REDIS__URL to use an embedded Valkey"
_LOGIN: Final = "correct user and password in DARKROOM_REDIS__URL; what is special in them is written as %XX"
_MENDS: Final = {
    Trouble.REFUSED: f"correct the port in DARKROOM_REDIS__URL if it is another; else {_START}",
    Trouble.NO_REDIS: "correct the port in DARKROOM_REDIS__URL",
    Trouble.NO_SUCH_HOST: "correct the host in DARKROOM_REDIS__URL",
    Trouble.CERTIFICATE: "name who signed it: DARKROOM_REDIS__CA_FILE (docs/store.md, TLS)",
    Trouble.NO_TLS: "write redis:// in DARKROOM_REDIS__URL where the server has no TLS",
}


def check_redis(settings: RedisSettings) -> Finding:
    """Look for a server: the one that is configured, or one that can be embedded."""
    if "url" in settings.model_fields_set:
        return _check_given(settings)
    servers = list(installed_servers())
    usable = next((server for server in servers if server.usable), None)
    if usable:
        return Finding("Redis", Verdict.OK, f"embedded {usable.label}")
    return Finding("Redis", Verdict.MISSING, _too_old(servers), NO_SERVER)


def _check_given(settings: RedisSettings) -> Finding:
    try:
        version = running_version(settings)
    except StoreUnavailable as error:
        trouble = trouble_of(error)
        mend = _LOGIN if trouble.is_of_login else _MENDS.get(trouble, _START)
        return Finding("Redis", Verdict.MISSING, error.message, mend)
    detail = f"{address_of(settings)}, version {version_text(version)}"
    if version < OLDEST_VERSION:
        return Finding("Redis", Verdict.MISSING, detail, "version 7.0 or newer is needed")
    policy = _config(settings, "maxmemory-policy")
    if policy not in {"", _KEEPS}:
        mend = f"it throws jobs away when it is full: set maxmemory-policy to {_KEEPS}"
        return Finding("Redis", Verdict.NOTE, f"{detail}, {policy}", mend)
    if _config(settings, "appendonly") == "no":
        mend = (
            "set appendonly to yes, or a restart of the server loses what was written since its last snapshot"
        )
        return Finding("Redis", Verdict.NOTE, f"{detail}, without an append-only file", mend)
    return Finding("Redis", Verdict.OK, detail)


def _config(settings: RedisSettings, name: str) -> str:
    """A setting of the server; empty where it does not tell, as managed ones do not."""
    client: Any
    try:
        with sync_client(settings, retries=0) as client:
            return str(client.config_get(name).get(name, ""))
    except UNREACHABLE:
        return ""


def _too_old(servers: list[ServerBinary]) -> str:
    return f"too old: {', '.join(server.label for server in servers)}" if servers else "no server found"


def check_keys(api: ApiSettings, redis: RedisSettings, folder: RunFolder) -> Finding | None:
    """Look who may use the service; None where no server runs that could be asked."""
    count = _count_keys(redis, folder)
    if count is None:
        return None
    if not count:
        if api.is_loopback or api.open:
            return Finding("API keys", Verdict.OK, "none: everybody who reaches the service is served")
        where = api.published_on or api.host
        mend = "darkroom keys create --name NAME, or DARKROOM_API__OPEN=true to serve everybody"
        return Finding("API keys", Verdict.MISSING, f"none, and {where} is reached by other machines", mend)
    try:
        salt = api.owner_salt if "url" in redis.model_fields_set else OwnerSalt(folder, api).now()
    except ConfigurationError as error:
        return Finding(
            "API keys", Verdict.MISSING, error.message, "mend it, or make the keys anew without it"
        )
    if is_public(salt):
        return Finding(
            "API keys", Verdict.NOTE, f"{count}, kept under the salt that everybody knows", _NEW_SALT
        )
    return Finding("API keys", Verdict.OK, f"{count}")


def _count_keys(redis: RedisSettings, folder: RunFolder) -> int | None:
    """How many keys were made, in the given server or the embedded one that runs; None without either."""
    if "url" not in redis.model_fields_set:
        running = folder.running_store()
        if running is None:
            return None
        redis = redis.model_copy(update={"url": SecretStr(running)})
    client: Any
    try:
        with sync_client(redis, retries=0) as client:
            return int(client.hlen(Keys(redis.prefix).api_keys))
    except UNREACHABLE:
        return None
