"""`darkroom keys webhook` and `darkroom webhooks listen`: secrets shown once, events shown as they arrive."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGINT
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from cli.keyholder import Keyholder
from cli.ports import free_port
from shared.api_keys import ApiKey
from shared.jobs.keys import Keys
from shared.redis_clients import sync_client
from shared.settings import REPO_ROOT, RedisSettings
from shared.webhooks import Signing, new_secret
from tests.integration.cli.conftest import Darkroom
from tests.keys import found
from tests.receiver import Receiver, status
from tests.waiting import wait_until


class Store:
    """What the commands write."""

    def __init__(self, settings: RedisSettings) -> None:
        self.here = {
            "DARKROOM_REDIS__URL": settings.url.get_secret_value(),
            "DARKROOM_REDIS__PREFIX": settings.prefix,
        }
        self.client: Any = sync_client(settings)
        self.keys = Keys(settings.prefix)
        self.key_id = Keyholder(settings, b"salt").create("the shop").key.id

    def signing(self, signer: str) -> Signing | None:
        words = self.client.hget(self.keys.webhook_secrets, signer)
        return Signing.model_validate_json(words) if words else None

    @property
    def key(self) -> ApiKey:
        return ApiKey.model_validate_json(self.client.hget(self.keys.api_keys, self.key_id))


@pytest.fixture
def store(redis_settings: RedisSettings) -> Iterator[Store]:
    store = Store(redis_settings)
    yield store
    store.client.close()


def test_a_keys_secret_is_made_shown_once_rotated_and_removed(darkroom: Darkroom, store: Store) -> None:
    url = "https://shop.example/marker-of-a-path"
    made = darkroom("keys", "webhook", store.key_id, "--url", url, **store.here)
    assert made.exit_code == 0, made.output
    secret = made.stdout.splitlines()[-1].strip()
    first = store.signing(store.key_id)
    assert first is not None
    assert (first.secret, first.previous) == (secret, None)
    assert store.key.webhook is not None
    assert store.key.webhook.url == url

    again = darkroom("keys", "webhook", store.key_id, "--event", "job.failed", **store.here)
    assert "have a secret already" in again.output
    assert secret not in again.output
    assert store.signing(store.key_id) == first
    assert store.key.webhook.url == url
    assert store.key.webhook.events == ("job.failed",)

    shown = darkroom("keys", "webhook", store.key_id, "--rotate", **store.here).stdout
    rotated = shown.splitlines()[-1].strip()
    second = store.signing(store.key_id)
    assert second is not None
    assert (second.secret, second.previous) == (rotated, secret)
    assert second.previous_until - time.time() == pytest.approx(24 * 3600, abs=60)

    listed = darkroom("keys", "list", **store.here).stdout
    assert "webhooks to shop.example" in listed
    assert found(["marker-of-a-path", secret, rotated], {"list": listed}) == []

    darkroom("keys", "webhook", store.key_id, "--url", "", **store.here)
    assert store.key.webhook is not None
    assert store.key.webhook.url is None
    removed = darkroom("keys", "webhook", store.key_id, "--remove", **store.here)
    assert removed.exit_code == 0
    assert (store.signing(store.key_id), store.key.webhook) == (None, None)


def test_a_service_without_keys_has_one_secret_for_all(darkroom: Darkroom, store: Store) -> None:
    made = darkroom("keys", "webhook", "--open", **store.here)

    signing = store.signing("open")
    assert signing is not None
    assert made.stdout.splitlines()[-1].strip() == signing.secret
    assert store.client.get(store.keys.open_webhook) == b"1"
    assert darkroom("keys", "webhook", "--open", "--remove", **store.here).exit_code == 0
    assert not store.client.exists(store.keys.open_webhook)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "name a key, or --open"),
        (("0123456789abcdef", "--open"), "name a key, or --open"),
        (("--open", "--url", "https://shop.example/"), "name a key, or --open"),
        (("--open", "--rotate", "--remove"), "name a key, or --open"),
        (("0123456789abcdef",), "there is no API key 0123456789abcdef"),
        (("0123456789abcdef", "--url", "shop.example"), "--url: must be http:// or https://"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(
    darkroom: Darkroom, store: Store, options: tuple[str, ...], said: str
) -> None:
    result = darkroom("keys", "webhook", *options, **store.here)

    assert result.exit_code == 1
    assert said in result.output
    assert not store.client.exists(store.keys.webhook_secrets)


@contextmanager
def listening(folder: Path, *options: str) -> Iterator[tuple[str, Path]]:
    """Run the command; give its address and what it prints."""
    port, log = free_port(), folder / "listen.log"
    command = [sys.executable, "-m", "cli", "webhooks", "listen", "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=REPO_ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        )
    url = f"http://127.0.0.1:{port}/hooks"
    try:
        wait_until(lambda: _answers(url), 20, "the listener")
        yield url, log
    finally:
        process.send_signal(SIGINT)
        assert process.wait(timeout=10) in {0, 130, -SIGINT}


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2, trust_env=False).status_code == 405
    except httpx2.TransportError:
        return False


def event(secret: str) -> tuple[dict[str, str], bytes]:
    now = datetime.now(UTC)
    job = {"id": "0" * 32, "model": "tiny", "error": None, "result_url": "/v1/images/jobs/0/result\x1b[31m"}
    about = {"id": "evt_1", "type": "job.succeeded", "timestamp": "2026-11-28T09:00:00Z"}
    body = json.dumps({**about, "data": job})
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", now, body),
        "content-type": "application/json",
    }
    return headers, body.encode()


def test_the_listener_says_what_arrives_and_whether_it_is_signed(tmp_path: Path) -> None:
    secret = new_secret()
    with listening(tmp_path, "--secret", secret) as (url, log):
        for signed_with, body in ((secret, None), (new_secret(), None), (secret, b"nonsense")):
            headers, right = event(signed_with)
            answer = httpx2.post(url, content=body or right, headers=headers, trust_env=False)
            assert answer.status_code == 200
        large = httpx2.post(url, content=b"x" * (1024**2 + 1), trust_env=False)
        assert large.status_code == 413

    text = log.read_text()
    assert f'"webhook": {{"url": "{url.removesuffix("hooks")}"}}' in text
    assert "DARKROOM_WEBHOOKS__ALLOW_PRIVATE_ADDRESSES=true" in text
    verified, forged, nonsense, _ = text.splitlines()[-4:]
    assert verified.startswith(f"2026-11-28T09:00:00Z  job.succeeded  {'0' * 32}  tiny")
    assert verified.endswith("  verified")
    assert "NOT VERIFIED: No matching signature found" in forged
    assert nonsense.startswith("no event of this service, 8 bytes  NOT VERIFIED")
    assert "\x1b" not in text
    assert secret not in text


def test_the_listener_passes_on_what_arrives_as_it_came(tmp_path: Path) -> None:
    secret = new_secret()
    with Receiver() as receiver, listening(tmp_path, "--forward", receiver.url) as (url, log):
        receiver.replies = [status(503)]
        headers, body = event(secret)
        first = httpx2.post(url, content=body, headers=headers, trust_env=False)
        second = httpx2.post(url, content=body, headers=headers, trust_env=False)
        receiver.close()
        third = httpx2.post(url, content=body, headers=headers, trust_env=False)

        assert (first.status_code, second.status_code, third.status_code) == (503, 200, 502)
        Webhook(secret).verify(receiver.received[0].body, receiver.received[0].headers)
    assert "not verified: no secret is given" in log.read_text()


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!", "é"])
def test_a_secret_that_is_none_is_one_line(darkroom: Darkroom, secret: str) -> None:
    result = darkroom("webhooks", "listen", "--secret", secret)

    assert (result.exit_code, "that is no secret of webhooks" in result.output) == (1, True)
