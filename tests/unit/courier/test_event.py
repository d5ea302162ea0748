"""An event as it is sent."""

import json
import time

from standardwebhooks import Webhook

from courier.event import event, message
from shared.jobs.status import Status
from shared.webhooks import new_secret
from tests.unit.api.records import record

ENDED = record(
    status=Status.SUCCEEDED,
    started_at=1_700_000_001_000,
    finished_at=1_700_000_002_500,
    webhook={"url": "https://shop.example/marker", "events": ["job.succeeded"], "signer": "open"},
    delivery={"state": "pending", "attempts": 3},
)


def test_it_is_the_job_without_its_webhook_and_with_the_address_of_its_result() -> None:
    told = event(ENDED, "https://pictures.example/darkroom/")

    assert {name: told[name] for name in ("id", "object", "type", "created_at", "timestamp")} == {
        "id": f"evt_{ENDED.id}",
        "object": "event",
        "type": "job.succeeded",
        "created_at": 1_700_000_002,
        "timestamp": "2023-11-14T22:13:22Z",
    }
    assert told["data"]["result_url"] == f"https://pictures.example/darkroom/v1/images/jobs/{ENDED.id}/result"
    assert told["data"]["seeds"] == [5, 6]
    assert "webhook" not in told["data"]
    assert "swan" not in json.dumps(told)
    assert "marker" not in json.dumps(told)


def test_a_later_try_has_the_same_id_and_body_and_a_signature_of_its_own() -> None:
    secret = new_secret()
    now = time.time()

    first, second = (message(event(ENDED), at, [secret]) for at in (now, now + 60))

    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    for sent in (first, second):
        assert Webhook(secret).verify(sent.body, sent.headers)["id"] == f"evt_{ENDED.id}"
