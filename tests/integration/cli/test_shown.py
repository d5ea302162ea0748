"""What callers, services and logs wrote reaches the terminal as text, never as an order to it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cli.keyholder import Keyholder
from cli.logs import Follower
from cli.terminal import announce
from cli.valkey import EmbeddedServer
from shared.errors import ConfigurationError
from shared.jobs.keys import Keys
from shared.printable import MARK
from shared.redis_clients import sync_client
from shared.settings import RedisSettings
from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.service import FakeService

# An escape sequence, one of C1, a link, a bidirectional override, and markup, which is text.
ORDERS = "\x1b[31m\x9b1m\x1b]8;;http://evil.example\x07\u202e[bold]"
SHOWN = f"{MARK}[31m{MARK}1m{MARK}]8;;http://evil.example{MARK}{MARK}[bold]"


def assert_only_text(said: str) -> None:
    assert SHOWN in said
    assert [char for char in said if char != "\n" and not char.isprintable()] == []


def job(**fields: Any) -> dict[str, Any]:
    return {
        "id": "a" * 32,
        "object": "image.job",
        "status": "failed",
        "model": f"m{ORDERS}",
        "created_at": 1,
        "started_at": 2,
        "finished_at": 3,
        "progress": 0,
        "seeds": [1],
        "error": {"code": "generation_failed", "message": f"why: {ORDERS}"},
        **fields,
    }


def test_jobs_are_listed_shown_and_cancelled_as_text(service: FakeService, darkroom: Darkroom) -> None:
    base = ("--base-url", service.url)
    service.will_answer("GET", "/v1/images/jobs", {"data": [job()], "has_more": False})
    service.will_answer("GET", f"/v1/images/jobs/{'a' * 32}", job())
    service.will_answer("DELETE", f"/v1/images/jobs/{'a' * 32}", job(status=ORDERS))

    assert_only_text(darkroom("jobs", *base).output)
    assert_only_text(darkroom("jobs", "show", "a" * 32, *base).output)
    assert_only_text(darkroom("jobs", "cancel", "a" * 32, *base).output)


def test_progress_a_failure_and_a_refusal_are_told_as_text(service: FakeService, darkroom: Darkroom) -> None:
    base = ("--base-url", service.url)
    running = job(status="running", progress=50, error=None)
    service.will_answer("POST", "/v1/images/generations", running)
    service.will_answer("GET", f"/v1/images/jobs/{'a' * 32}", job())

    drawn = darkroom("generate", ORDERS, *base)

    assert drawn.exit_code == 1
    assert_only_text(drawn.output)
    assert f"drawing with m{SHOWN}" in drawn.output
    assert f"why: {SHOWN}" in drawn.output

    error = {"error": {"message": ORDERS, "code": "invalid_value"}}
    service.will_answer("GET", "/v1/images/jobs/none", error, status=404)
    assert_only_text(darkroom("jobs", "show", "none", *base).output)


def test_models_are_listed_as_text(service: FakeService, darkroom: Darkroom) -> None:
    model = {"id": f"m{ORDERS}", "title": ORDERS, "licence": ORDERS, "aliases": [ORDERS]}
    service.will_answer("GET", "/v1/models", {"data": [model]})

    assert_only_text(darkroom("models", "--base-url", service.url).output)


@pytest.mark.parametrize("text", [ORDERS, "two\nlines", "a\ttab", "\u200b"])
def test_a_key_gets_no_name_that_cannot_be_shown(
    darkroom: Darkroom, valkey: EmbeddedServer, prefix: str, text: str
) -> None:
    here = {"DARKROOM_REDIS__URL": valkey.url, "DARKROOM_REDIS__PREFIX": prefix}

    for option in (("--name", text), ("--name", "a", "--model", text)):
        refused = darkroom("keys", "create", *option, **here)
        assert refused.exit_code == 1
        assert "cannot be shown on one line" in refused.output
        assert [char for char in refused.output if char != "\n" and not char.isprintable()] == []
    assert "no keys" in darkroom("keys", "list", **here).output


def test_a_name_that_is_too_long_is_one_line(darkroom: Darkroom, valkey: EmbeddedServer, prefix: str) -> None:
    here = {"DARKROOM_REDIS__URL": valkey.url, "DARKROOM_REDIS__PREFIX": prefix}

    refused = darkroom("keys", "create", "--name", "x" * 65, "--organization", "a b", **here)

    assert refused.exit_code == 1
    assert "error: there can be no such key: name: " in refused.stderr
    assert "organizations: " in refused.stderr


def test_a_key_that_has_such_a_name_from_before_is_listed_and_revoked_as_text(
    darkroom: Darkroom, valkey: EmbeddedServer, prefix: str
) -> None:
    here = {"DARKROOM_REDIS__URL": valkey.url, "DARKROOM_REDIS__PREFIX": prefix}
    redis = RedisSettings(url=SecretStr(valkey.url), prefix=prefix)
    key = Keyholder(redis, b"salt").create("a name").key
    client: Any
    with sync_client(redis) as client:
        old = key.model_copy(update={"name": ORDERS, "models": (ORDERS,)})
        client.hset(Keys(prefix).api_keys, key.id, old.model_dump_json(exclude_none=True))

    assert_only_text(darkroom("keys", "list", **here).output)
    assert_only_text(darkroom("keys", "revoke", key.id, **here).output)
    assert_only_text(darkroom("keys", "revoke", ORDERS, **here).output)
    with pytest.raises(ConfigurationError, match="cannot be shown"):
        Keyholder(redis, b"salt").create(ORDERS)


def test_dead_jobs_are_listed_as_text(darkroom: Darkroom, valkey: EmbeddedServer, prefix: str) -> None:
    client: Any
    with sync_client(RedisSettings(url=SecretStr(valkey.url))) as client:
        history = json.dumps([{"outcome": "worker_lost", "worker": f"w{ORDERS}"}])
        client.hset(Keys(prefix).job("dead"), "history", history)
        client.xadd(Keys(prefix).dead, {"id": "dead", "model": f"m{ORDERS}"})

    listed = darkroom("jobs", "dead", DARKROOM_REDIS__URL=valkey.url, DARKROOM_REDIS__PREFIX=prefix)

    assert_only_text(listed.output)
    assert f"w{SHOWN}" in listed.output


def test_warnings_of_the_services_logs_are_one_line_of_text(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    entry = {"level": "warning", "event": f"event {ORDERS}", "worker": f"{ORDERS}\nerror: forged"}
    log.write_text(json.dumps(entry) + "\n")

    (line,) = Follower(log).warnings()

    assert_only_text(line)
    assert "\n" not in line


def test_the_end_of_a_log_is_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "api.log"
    log.write_text(f"first\n{ORDERS}\nlast\n")

    announce("api ended", log)

    said = capsys.readouterr().err
    assert_only_text(said)
    assert "ends:\nfirst\n" in said


def test_a_worker_gets_no_name_that_cannot_be_shown(darkroom: Darkroom) -> None:
    refused = darkroom("doctor", DARKROOM_WORKER__NAME="a\x1b[31m")

    assert refused.exit_code == 1
    assert "DARKROOM_WORKER__NAME: " in refused.stderr
    assert "\x1b" not in refused.output
