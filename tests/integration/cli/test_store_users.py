"""The users of the store: what their scripts need, they have; and what the command writes."""

import hashlib
import re
import stat
from fnmatch import fnmatch
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.store_users import API, COURIER, OPERATOR, ROLES, WORKER, Role, acl_file
from shared.jobs import scripts
from shared.jobs.keys import Keys
from shared.jobs.scripts import LUA_DIR

READS = {"GET", "HGET", "HMGET", "EXISTS", "SMEMBERS", "ZCARD", "ZCOUNT", "ZRANGE", "ZRANGEBYSCORE", "ZRANK"}
READS |= {"ZREVRANGE", "ZSCORE", "PUBLISH", "HLEN"}
SCRIPTS = [path.stem for path in LUA_DIR.glob("*.lua") if path.stem != "prelude"]


def derived(script: str) -> set[str]:
    header = re.search(r"^-- @derives (.*)$", scripts.load(script).source, re.MULTILINE)
    return set(header[1].split(", ")) if header else set()


@pytest.mark.parametrize("role", [API, WORKER, COURIER, OPERATOR], ids=lambda role: role.name)
def test_a_user_may_touch_every_key_that_its_scripts_derive(role: Role) -> None:
    allowed = [*role.writes, *role.reads, *role.channels]

    for script in role.scripts:
        missing = {key for key in derived(script) if not any(key == name.split(":")[0] for name in allowed)}
        assert missing == set(), script


@pytest.mark.parametrize("role", [API, WORKER, COURIER, OPERATOR], ids=lambda role: role.name)
def test_a_user_may_write_every_key_that_its_scripts_write(role: Role) -> None:
    for script in role.scripts:
        text = (LUA_DIR / f"{script}.lua").read_text(encoding="utf-8")
        calls = re.findall(r"redis\.call\('([A-Z]+)', key\('(\w+)'", text)
        written = {key for command, key in calls if command not in READS}

        assert written <= {name.split(":")[0] for name in role.writes}, script


def test_every_script_belongs_to_somebody() -> None:
    assert {script for role in ROLES for script in role.scripts} == set(SCRIPTS)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_no_user_has_a_command_that_reaches_beyond_its_keys(role: Role) -> None:
    never = {"keys", "scan", "flushall", "flushdb", "config", "debug", "shutdown", "eval", "acl", "monitor"}

    assert role.all_commands() & never == set()
    assert not any(fnmatch("anything", name) for name in (*role.writes, *role.reads))


def test_only_a_worker_makes_results_and_only_the_operator_makes_keys() -> None:
    keys = Keys("")

    def writers(key: str) -> list[str]:
        return [role.name for role in ROLES if any(fnmatch(key, name) for name in role.writes)]

    assert writers(keys.result("1")) == writers(keys.draft("1", "t")) == ["worker"]
    assert writers(keys.usage("o", 1)) == ["worker"]
    assert writers(keys.api_keys) == ["operator"]
    assert writers(keys.rate("k")) == ["api"]


def test_what_signs_webhooks_is_read_by_the_courier_and_the_operator_alone() -> None:
    secrets = Keys("").webhook_secrets

    def of(kind: str) -> list[str]:
        return [role.name for role in ROLES if any(fnmatch(secrets, name) for name in getattr(role, kind))]

    assert (of("reads"), of("writes")) == (["courier"], ["operator"])


def test_the_file_has_hashes_and_lets_nobody_else_in() -> None:
    text = acl_file([(API, "the-password")], "darkroom:")

    assert text.startswith("user default reset off\n")
    assert "the-password" not in text
    assert f"user api reset on #{hashlib.sha256(b'the-password').hexdigest()} " in text
    assert "~darkroom:job:* " in text
    assert "%R~darkroom:result:* " in text


def test_the_command_writes_users_and_secret_urls_once(tmp_path: Path) -> None:
    command = ["acl", "--folder", str(tmp_path), "--server", "store.example:6380/2", "--tls"]

    first, second = (CliRunner().invoke(app, command) for _ in range(2))

    assert (first.exit_code, second.exit_code) == (0, 1)
    assert "is there already" in second.output
    urls = dict(line.split("=", 1) for line in (tmp_path / "users.env").read_text().splitlines())
    assert list(urls) == [f"DARKROOM_{role.name.upper()}_REDIS_URL" for role in ROLES]
    found = re.fullmatch(r"rediss://api:([\w-]{43})@store\.example:6380/2", urls["DARKROOM_API_REDIS_URL"])
    assert found
    users = (tmp_path / "users.acl").read_text()
    assert hashlib.sha256(found[1].encode()).hexdigest() in users
    assert stat.S_IMODE((tmp_path / "users.env").stat().st_mode) == 0o600
    assert found[1] not in first.output + users
