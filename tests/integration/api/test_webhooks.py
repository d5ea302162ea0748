"""Requests that name a webhook: what they may say, who must have a secret, and what a job tells of it."""

import base64
import json
from typing import Any

import pytest

from cli.keyholder import Keyholder, NewKey
from cli.signers import Signers, Wanted
from courier.rounds import Rounds
from courier.sending import Sender
from courier.store import CourierStore
from shared.webhooks import OPEN
from tests import odd_pictures as odd
from tests.http_caller import ASYNC, HttpCaller, Response, assert_error
from tests.integration.conftest import Serve
from tests.receiver import Receiver, status
from tests.waiting import wait_until

EDITS = "/v1/images/edits"
HOOK = {"url": "https://shop.example/hooks?token=marker"}


class Signed:
    """A service whose webhooks are signed, its keys and its courier."""

    def __init__(self, serve: Serve, **settings: Any) -> None:
        self.service = serve(webhooks={"first_pause_s": 100.0, **settings})
        found = self.service.api.settings
        self.keyholder = Keyholder(found.redis, found.api.owner_salt.get_secret_value().encode())
        self.signers = Signers(found.redis, self.keyholder)
        store = CourierStore(self.service.worker.client, found.webhooks, found.redis.prefix)
        self.rounds = Rounds(store, Sender(found.webhooks), found.webhooks, found.api.public_url)

    def keyed(self, **wanted: Any) -> tuple[HttpCaller, NewKey]:
        """A caller whose key has a secret."""
        new = self.keyholder.create("a test's")
        self.signers.change(new.key.id, Wanted(**wanted))
        return self.service.another_caller(new.text), new


@pytest.fixture
def signed(serve: Serve) -> Signed:
    return Signed(serve)


def generate(caller: HttpCaller, webhook: Any = HOOK, **fields: Any) -> Response:
    return caller.generate(ASYNC, webhook=webhook, **fields)


def edit(caller: HttpCaller, webhook: str) -> Response:
    parts = [("image", ("a.png", odd.plain((96, 64)), "image/png"))]
    return caller.http.post(EDITS, data={"prompt": "x", "webhook": webhook}, files=parts, headers=ASYNC)


def test_a_job_has_a_webhook_and_no_other_job_says_a_word_of_it(signed: Signed) -> None:
    signed.signers.change(OPEN, Wanted())
    caller = signed.service.caller

    answer = generate(caller, {**HOOK, "events": ["job.failed"]})

    assert answer.status_code == 202
    assert "x-ignored-fields" not in answer.headers
    assert caller.job(answer.json()["id"])["webhook"] == {
        "url": HOOK["url"],
        "events": ["job.failed"],
        "state": "waiting",
        "attempts": 0,
        "last_attempt_at": None,
        "response_status": None,
        "error": None,
        "next_attempt_at": None,
        "delivered_at": None,
    }
    assert "webhook" not in caller.job(caller.submit())
    assert "webhook" not in caller.job(caller.submit(webhook=None))


def test_without_a_secret_the_request_is_refused_in_words_that_name_the_command(signed: Signed) -> None:
    message = assert_error(generate(signed.service.caller), 400, "webhook_secret_missing", param="webhook")
    assert "`darkroom keys webhook --open`" in message

    new = signed.keyholder.create("without a secret")
    caller = signed.service.another_caller(new.text)
    wait_until(lambda: caller.http.get("/v1/images/jobs").status_code == 200)
    message = assert_error(generate(caller), 400, "webhook_secret_missing", param="webhook")
    assert f"`darkroom keys webhook {new.key.id}`" in message


def test_a_removed_secret_is_missing(signed: Signed) -> None:
    signed.signers.change(OPEN, Wanted())
    assert generate(signed.service.caller).status_code == 202

    signed.signers.remove(OPEN)

    assert_error(generate(signed.service.caller), 400, "webhook_secret_missing", param="webhook")


@pytest.mark.parametrize(
    "wrong",
    [
        "https://shop.example/",
        [],
        {},
        {"url": None},
        {"url": "ftp://shop.example/marker"},
        {"url": "https://user:marker@shop.example/"},
        {"url": "https://shop.example/" + "marker" * 400},
        {**HOOK, "events": []},
        {**HOOK, "events": ["job.marker"]},
        {**HOOK, "events": "job.failed"},
        {**HOOK, "secret": "marker"},
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_is_no_webhook_is_a_422_on_the_field(signed: Signed, wrong: Any) -> None:
    signed.signers.change(OPEN, Wanted())

    for answer in (generate(signed.service.caller, wrong), edit(signed.service.caller, json.dumps(wrong))):
        assert_error(answer, 422, "invalid_value", param="webhook")
        assert "marker" not in answer.text


@pytest.mark.parametrize("text", ["https://shop.example/", "{", "[" * 100_000, "null", "7"])
def test_the_field_of_a_form_is_json(signed: Signed, text: str) -> None:
    signed.signers.change(OPEN, Wanted())

    answer = edit(signed.service.caller, text)

    if text == "null":
        assert answer.status_code == 202
    else:
        assert_error(answer, 422, "invalid_value", param="webhook")


def test_an_edit_has_a_webhook_by_a_form_and_by_json(signed: Signed) -> None:
    signed.signers.change(OPEN, Wanted())
    caller = signed.service.caller
    picture = {"image_url": f"data:image/png;base64,{base64.b64encode(odd.plain((96, 64))).decode()}"}

    by_form = edit(caller, json.dumps(HOOK))
    by_json = caller.http.post(
        EDITS, json={"prompt": "x", "images": [picture], "webhook": HOOK}, headers=ASYNC
    )

    for answer in (by_form, by_json):
        assert answer.status_code == 202, answer.text
        assert answer.json()["webhook"]["url"] == HOOK["url"]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://10.1.2.3:99/x", "http://169.254.169.254/latest", "https://localhost/"],
)
def test_what_plainly_leads_inside_is_refused_at_once(signed: Signed, url: str) -> None:
    signed.signers.change(OPEN, Wanted())

    assert_error(generate(signed.service.caller, {"url": url}), 400, "unsupported_value", param="webhook")


def test_a_service_that_sends_none_says_so_and_draws_for_whoever_asks_for_none(serve: Serve) -> None:
    signed = Signed(serve, enabled=False)
    caller, _ = signed.keyed(url=HOOK["url"])
    wait_until(lambda: caller.http.get("/v1/images/jobs").status_code == 200)

    assert_error(generate(caller), 400, "unsupported_parameter", param="webhook")
    assert "webhook" not in generate(caller, None).json()


def test_a_keys_default_holds_where_the_request_says_nothing_else(signed: Signed) -> None:
    caller, _ = signed.keyed(url="https://default.example/", events=("job.failed",))
    wait_until(lambda: caller.http.get("/v1/images/jobs").status_code == 200)

    default, own = generate(caller, None).json(), generate(caller).json()

    assert (default["webhook"]["url"], default["webhook"]["events"]) == (
        "https://default.example/",
        ["job.failed"],
    )
    assert own["webhook"]["url"] == HOOK["url"]
    assert len(own["webhook"]["events"]) == 3


def test_a_webhook_is_part_of_what_a_request_is_and_of_no_picture(signed: Signed) -> None:
    signed.signers.change(OPEN, Wanted())
    caller = signed.service.caller
    key = {**ASYNC, "Idempotency-Key": "one"}

    first = caller.generate(key, webhook=HOOK, seed=1)
    again = caller.generate(key, webhook={"events": None, **HOOK}, seed=1)
    other = caller.generate(key, webhook={"url": "https://other.example/"}, seed=1)

    assert first.json()["id"] == again.json()["id"]
    assert_error(other, 422, "idempotency_key_reused")
    attempt = signed.service.worker.take()
    assert "webhook" not in attempt.params


def test_the_job_says_how_far_it_has_come_and_the_operators_view_and_the_metrics_too(serve: Serve) -> None:
    signed = Signed(serve, allow_private_addresses=True)
    signed.signers.change(OPEN, Wanted())
    caller, worker = signed.service.caller, signed.service.worker
    with Receiver() as receiver:
        receiver.replies = [status(503)]
        failing, unwanted = (
            generate(caller, {"url": receiver.url, "events": events}).json()["id"]
            for events in (None, ["job.failed"])
        )
        for _ in range(2):
            worker.do()
        assert caller.job(failing)["webhook"]["state"] == "pending"
        assert caller.job(unwanted)["webhook"]["state"] == "not_wanted"
        signed.rounds.go()
        first = caller.job(failing)["webhook"]
        view = caller.http.get("/v1/operator").json()["webhooks"]
        metrics = caller.http.get("/metrics").text
        # It is due now.
        worker.client.zadd(worker.store.keys.deliveries, {failing: 1})
        signed.rounds.go()
        second = caller.job(failing)["webhook"]

    assert (first["state"], first["attempts"], first["response_status"]) == ("pending", 1, 503)
    assert first["error"] == "the receiver answered 503"
    assert first["next_attempt_at"] > first["last_attempt_at"]
    assert (view["pending"], view["failed"], view["delivered"], view["given_up"]) == (1, 1, 0, 0)
    assert 'darkroom_webhooks_total{outcome="failed"} 1.0' in metrics
    assert "darkroom_webhooks_pending 1.0" in metrics
    assert (second["state"], second["attempts"], second["response_status"]) == ("delivered", 2, 200)
    assert (second["error"], second["next_attempt_at"]) == (None, None)
    assert second["delivered_at"] >= first["last_attempt_at"]


@pytest.mark.parametrize(("give_up_s", "least_s"), [(1000.0, 86_390), (100_000.0, 103_590)])
def test_a_record_lives_until_after_the_last_try(serve: Serve, give_up_s: float, least_s: int) -> None:
    signed = Signed(serve, give_up_s=give_up_s)
    signed.signers.change(OPEN, Wanted())
    job_id = generate(signed.service.caller).json()["id"]
    signed.service.worker.do()

    ttl_s = signed.service.worker.client.ttl(signed.service.worker.store.keys.job(job_id))

    assert least_s <= ttl_s <= least_s + 10
