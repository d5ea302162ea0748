"""The salt of keys and owners is a random one before the first key, or it is said which to set."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cli.keyholder import Keyholder
from cli.owner_salt import PUBLIC, OwnerSalt
from cli.run_folder import RunFolder
from cli.valkey import EmbeddedServer
from shared.api_keys import ApiKey
from shared.errors import ConfigurationError
from shared.jobs.keys import Keys
from shared.redis_clients import sync_client
from shared.settings import ApiSettings, RedisSettings
from tests.integration.cli.conftest import Darkroom

SET = re.compile(r"DARKROOM_API__OWNER_SALT=([0-9a-f]{64})\b")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / ".darkroom")


@pytest.fixture
def redis(valkey: EmbeddedServer, prefix: str) -> RedisSettings:
    return RedisSettings(url=SecretStr(valkey.url), prefix=prefix)


@pytest.fixture
def entered(folder: RunFolder) -> Iterator[RunFolder]:
    with folder:
        yield folder


def keys_of(redis: RedisSettings) -> list[ApiKey]:
    return Keyholder(redis, b"any").all()


def bytes_of(salt: SecretStr) -> bytes:
    return salt.get_secret_value().encode()


def test_a_first_start_makes_a_salt_that_only_its_owner_reads_and_later_ones_keep_it(
    entered: RunFolder, redis: RedisSettings
) -> None:
    first = OwnerSalt(entered, ApiSettings()).at_start(redis)
    Keyholder(redis, bytes_of(first)).create("somebody")

    assert re.fullmatch(r"[0-9a-f]{64}", first.get_secret_value())
    assert stat.S_IMODE((entered.path / "owner.salt").stat().st_mode) == 0o600
    assert OwnerSalt(entered, ApiSettings()).at_start(redis) == first
    assert OwnerSalt(entered, ApiSettings()).for_a_new_key(redis, running=True) == first


def test_a_salt_that_is_set_goes_above_and_makes_none(entered: RunFolder, redis: RedisSettings) -> None:
    chosen = ApiSettings(owner_salt=SecretStr("chosen"))

    assert OwnerSalt(entered, chosen).at_start(redis) == SecretStr("chosen")
    assert OwnerSalt(entered, chosen).for_a_new_key(redis, running=True) == SecretStr("chosen")
    assert not (entered.path / "owner.salt").exists()


def test_what_was_hashed_before_keeps_its_salt(entered: RunFolder, redis: RedisSettings) -> None:
    """Keys made under the public salt would open nothing, and callers would not find their jobs."""
    client: Any
    with sync_client(redis) as client:
        client.zadd(Keys(redis.prefix).history("an owner"), {"a job": 1})
        assert OwnerSalt(entered, ApiSettings()).at_start(redis) == PUBLIC
        client.delete(Keys(redis.prefix).history("an owner"))
    Keyholder(redis, bytes_of(PUBLIC)).create("from before")
    assert OwnerSalt(entered, ApiSettings()).at_start(redis) == PUBLIC
    assert OwnerSalt(entered, ApiSettings()).for_a_new_key(redis, running=False) == PUBLIC
    assert not (entered.path / "owner.salt").exists()


def test_a_service_that_runs_with_the_public_salt_gets_no_key_that_it_would_not_know(
    entered: RunFolder, redis: RedisSettings
) -> None:
    with pytest.raises(ConfigurationError, match="stop it, make the key, and start it again"):
        OwnerSalt(entered, ApiSettings()).for_a_new_key(redis, running=True)

    assert not (entered.path / "owner.salt").exists()


@pytest.mark.parametrize("broken", ["", "\n", None])
def test_a_salt_that_cannot_be_read_is_an_error_and_never_the_public_one(
    entered: RunFolder, redis: RedisSettings, broken: str | None
) -> None:
    file = entered.path / "owner.salt"
    if broken is None:
        file.mkdir()
    else:
        file.write_text(broken)

    for ask in (
        lambda salt: salt.at_start(redis),
        lambda salt: salt.for_a_new_key(redis, running=False),
        lambda salt: salt.now(),
    ):
        with pytest.raises(ConfigurationError, match=r"owner\.salt"):
            ask(OwnerSalt(entered, ApiSettings()))


def test_a_key_of_the_embedded_store_is_made_under_the_folders_salt(
    darkroom: Darkroom, folder: RunFolder
) -> None:
    made = darkroom("keys", "create", "--name", "first")

    assert made.exit_code == 0, made.output
    assert made.stderr == ""
    salt = (folder.path / "owner.salt").read_text().strip()
    with folder, EmbeddedServer(folder.data) as server:
        (kept,) = keys_of(RedisSettings(url=SecretStr(server.url)))
    assert kept.opens(made.stdout.splitlines()[-1], salt.encode())
    assert not kept.opens(made.stdout.splitlines()[-1], bytes_of(PUBLIC))
    assert salt not in made.output


def test_a_running_service_from_before_is_told_to_be_started_again(
    darkroom: Darkroom, folder: RunFolder
) -> None:
    with folder, EmbeddedServer(folder.data) as server:
        folder.note_store(server.url)
        refused = darkroom("keys", "create", "--name", "first")
        kept = keys_of(RedisSettings(url=SecretStr(server.url)))

    assert refused.exit_code == 1
    assert "stop it, make the key, and start it again" in refused.stderr
    assert kept == []
    assert darkroom("keys", "create", "--name", "first").exit_code == 0


def test_a_given_store_is_warned_of_before_the_key_with_what_to_set(
    darkroom: Darkroom, redis: RedisSettings
) -> None:
    here = {
        "DARKROOM_REDIS__URL": redis.url.get_secret_value(),
        "DARKROOM_REDIS__PREFIX": redis.prefix,
    }

    first = darkroom("keys", "create", "--name", "first", **here)
    second = darkroom("keys", "create", "--name", "second", **here)
    offered = [found[1] for each in (first, second) if (found := SET.search(each.stderr))]
    salted = darkroom("keys", "create", "--name", "third", **here, DARKROOM_API__OWNER_SALT=offered[0])

    assert (first.exit_code, second.exit_code, salted.exit_code) == (0, 0, 0)
    assert first.stderr.startswith("warning: this key would be kept under the salt that everybody knows")
    assert "already" not in first.stderr
    assert "make the 1 that there are already anew" in second.stderr
    assert len(set(offered)) == 2
    assert salted.stderr == ""


@pytest.mark.parametrize("salt", ["darkroom", ""])
def test_the_public_salt_is_warned_of_though_somebody_set_it(darkroom: Darkroom, salt: str) -> None:
    made = darkroom("keys", "create", "--name", "first", DARKROOM_API__OWNER_SALT=salt)

    assert made.exit_code == 0
    assert SET.search(made.stderr)
