"""What docs/webhooks.md and `examples/webhook_receiver.py` show, run as a reader would."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from standardwebhooks import Webhook

from cli.keyholder import Keyholder
from cli.ports import free_port
from cli.signers import Signers, Wanted
from courier.rounds import Rounds
from courier.sending import Sender
from courier.store import CourierStore
from shared.settings import REPO_ROOT
from shared.webhooks import OPEN, new_secret
from tests.integration.conftest import Serve
from tests.waiting import wait_until

DOCUMENT = (REPO_ROOT / "docs" / "webhooks.md").read_text()


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    (found,) = [each for each in blocks if containing in each]
    return str(found)


def signed(secret: str) -> tuple[dict[str, str], str]:
    now, body = datetime.now(UTC), json.dumps({"id": "evt_1", "type": "job.succeeded"})
    signature = f"v1,AAAA {Webhook(secret).sign('evt_1', now, body)}"
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }, body


def test_the_receiver_verifies_takes_each_event_once_and_fetches_the_picture(
    serve: Serve, tmp_path: Path
) -> None:
    service = serve(webhooks={"allow_private_addresses": True})
    settings, port = service.api.settings, free_port()
    secret = Signers(settings.redis, Keyholder(settings.redis, b"")).change(OPEN, Wanted())
    assert secret is not None
    store = CourierStore(service.worker.client, settings.webhooks, settings.redis.prefix)
    rounds = Rounds(store, Sender(settings.webhooks), settings.webhooks)
    url = f"http://127.0.0.1:{port}/"
    environment = {
        "WEBHOOK_SECRET": secret,
        "OPENAI_BASE_URL": f"{service.api.url}/v1",
        "OPENAI_API_KEY": "key",
        "no_proxy": "*",
    }
    with (tmp_path / "log").open("w") as log:
        example = subprocess.Popen(
            [sys.executable, REPO_ROOT / "examples" / "webhook_receiver.py", str(port)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _answers(url), 20, "the receiver")
        job_id = service.caller.submit(webhook={"url": url}, seed=3)
        service.worker.do()
        rounds.go()
        file = tmp_path / f"{job_id}.png"
        wait_until(file.exists, 10, "the picture")
        # It comes again, as after a lost answer.
        service.worker.client.zadd(store.keys.deliveries, {job_id: 1})
        rounds.go()
        forged = httpx2.post(url, json={"type": "job.succeeded"}, trust_env=False)

        assert forged.status_code == 400
        assert wait_until(file.read_bytes) == b"a tiny picture 3"
        assert (tmp_path / "log").read_text().count(f"job.succeeded {job_id}") == 1
    finally:
        example.terminate()
        example.wait(timeout=10)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2, trust_env=False).status_code == 501
    except httpx2.TransportError:
        return False


def test_the_documents_python_verifies() -> None:
    secret = new_secret()
    headers, body = signed(secret)
    source = block("python", "def receive").replace("whsec_…", secret)

    namespace: dict[str, object] = {}
    exec(compile(source, "docs/webhooks.md", "exec"), namespace)  # noqa: S102 - what the document shows
    receive = namespace["receive"]

    assert callable(receive)
    assert receive(body.encode(), headers)["id"] == "evt_1"


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_documents_javascript_verifies_and_refuses(tmp_path: Path) -> None:
    secret = new_secret()
    headers, body = signed(secret)
    old = {**headers, "webhook-timestamp": str(int(time.time()) - 400)}
    cases = [
        (secret, headers, body),
        (new_secret(), headers, body),
        (secret, headers, body + " "),
        (secret, old, body),
    ]
    (tmp_path / "verify.mjs").write_text(block("javascript", "export function verify"))
    (tmp_path / "run.mjs").write_text(
        'import { verify } from "./verify.mjs";\n'
        f"for (const each of {json.dumps(cases)}) {{\n"
        "  try { console.log(verify(...each).id); } catch (error) { console.log(error.message); }\n}\n"
    )

    done = subprocess.run(
        ["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout.splitlines() == [
        "evt_1",
        "no signature of ours",
        "no signature of ours",
        "too old, or too new",
    ]
