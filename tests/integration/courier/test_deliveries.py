"""From a job's end to its receiver: once delivered, tried again where not, and given up in the end."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import InvalidWebhookSignatureError
from standardwebhooks import Webhook, WebhookVerificationError

from courier.store import CourierStore
from shared.errors import LeaseLost
from tests.integration.courier.conftest import Post
from tests.receiver import LOOPBACK, Receiver, drip, hang, huge, raw, silent_port, status
from tests.waiting import wait_until

MakePost = Callable[..., Post]


def test_a_picture_that_is_there_is_told_once_and_signed(post: Post, receiver: Receiver) -> None:
    signing = post.sign()
    job_id = post.submit(receiver.url)
    post.rounds.go()
    assert receiver.received == []  # it has not ended

    post.succeed()
    post.rounds.go()
    post.rounds.go()

    (received,) = receiver.received
    assert received.path == "/hooks/a-secret-path?token=test-of-a-token"
    assert received.headers["host"] == f"{LOOPBACK}:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    told = Webhook(signing.secret).verify(received.body, received.headers)
    assert (told["id"], told["object"], told["type"]) == (f"evt_{job_id}", "event", "job.succeeded")
    assert told["data"]["id"] == job_id
    assert told["data"]["object"] == "image.job"
    assert told["data"]["status"] == "succeeded"
    assert told["data"]["result_url"] == f"/v1/images/jobs/{job_id}/result"
    assert received.headers["webhook-id"] == told["id"]
    assert b"prompt of" not in received.body
    assert b"aW1hZ2U=" not in received.body
    delivery = post.delivery(job_id)
    assert (delivery["state"], delivery["attempts"], delivery["response_status"]) == ("delivered", 1, 200)
    assert post.client.zcard(post.keys.deliveries) == 0


def test_the_official_client_verifies_and_reads_it(post: Post, receiver: Receiver) -> None:
    signing = post.sign()
    post.submit(receiver.url)
    job_id = post.succeed()
    post.rounds.go()
    (received,) = receiver.received
    client = openai.OpenAI(api_key="none", webhook_secret=signing.secret)

    event: Any = client.webhooks.unwrap(received.body, received.headers)

    client.webhooks.verify_signature(received.body, received.headers)
    assert event.type == "job.succeeded"
    assert event.data["id"] == job_id if isinstance(event.data, dict) else event.data.id == job_id
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.unwrap(received.body.replace(b"succeeded", b"failed"), received.headers)


def test_after_a_rotation_both_secrets_sign_and_after_a_day_the_new_one_alone(
    post: Post, receiver: Receiver
) -> None:
    first = post.sign()
    now = int(time.time())
    second = first.rotated(now)
    name = post.keys.webhook_secrets
    for kept in (second, second.model_copy(update={"previous_until": now - 1})):
        post.client.hset(name, "open", kept.model_dump_json())
        post.submit(receiver.url)
        post.succeed()
        post.rounds.go()

    both, new_alone = receiver.received
    for secret in (first.secret, second.secret):
        Webhook(secret).verify(both.body, both.headers)
    assert len(both.headers["webhook-signature"].split(" ")) == 2
    Webhook(second.secret).verify(new_alone.body, new_alone.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(first.secret).verify(new_alone.body, new_alone.headers)


def test_every_end_is_told_as_it_was_and_only_those_that_are_wanted(post: Post, receiver: Receiver) -> None:
    failed, cancelled, unwanted = (
        post.submit(receiver.url),
        post.submit(receiver.url),
        post.submit(receiver.url, events=("job.succeeded",)),
    )
    (attempt,) = post.worker.claim("m", "w", want=1, alone=True).attempts
    post.worker.fail(attempt, code="generation_failed", message="the paint ran out")
    for job_id in (cancelled, unwanted):
        post.jobs.cancel(job_id)

    post.rounds.go()

    told = {json.loads(each.body)["data"]["id"]: json.loads(each.body) for each in receiver.received}
    assert set(told) == {failed, cancelled}
    assert told[failed]["type"] == "job.failed"
    assert told[failed]["data"]["error"]["code"] == "generation_failed"
    assert told[failed]["data"]["result_url"] is None
    assert told[cancelled]["type"] == "job.cancelled"
    assert post.client.zcard(post.keys.deliveries) == 0
    assert post.delivery(unwanted) == {}


def test_what_is_refused_is_tried_again_with_the_same_id_and_body(post: Post, receiver: Receiver) -> None:
    receiver.replies = [status(500), status(404), status(302, location="http://127.0.0.1:1/")]
    job_id = post.submit(receiver.url)
    post.succeed()

    for tries in range(1, 5):
        wait_until(post.due)
        post.rounds.go()
        assert len(receiver.received) == tries

    assert len({each.headers["webhook-id"] for each in receiver.received}) == 1
    assert len({each.body for each in receiver.received}) == 1
    assert post.delivery(job_id)["attempts"] == 4
    assert post.delivery(job_id)["state"] == "delivered"
    assert "error" not in post.delivery(job_id)


def test_between_tries_the_job_says_why_and_when_it_is_tried_again(
    make_post: MakePost, receiver: Receiver
) -> None:
    post = make_post(first_pause_s=100)
    post.sign()
    receiver.usual = status(503, retry_after="300")
    job_id = post.submit(receiver.url)
    post.succeed()

    post.rounds.go()

    delivery = post.delivery(job_id)
    assert (delivery["state"], delivery["response_status"]) == ("pending", 503)
    assert delivery["error"] == "the receiver answered 503"
    assert delivery["next_attempt_at"] - delivery["last_attempt_at"] == pytest.approx(300_000, abs=3000)
    assert post.due() == 0


def test_a_receiver_that_is_gone_or_a_secret_that_is_gone_is_given_up_at_once(
    post: Post, receiver: Receiver
) -> None:
    receiver.usual = status(410)
    gone, unsigned = post.submit(receiver.url), post.submit(receiver.url, signer="nobody")
    post.succeed()
    post.succeed()

    post.rounds.go()

    assert len(receiver.received) == 1
    assert post.delivery(gone)["state"] == post.delivery(unsigned)["state"] == "given_up"
    assert post.delivery(unsigned)["error"] == "there is no secret any more that could sign it"
    assert post.client.zcard(post.keys.deliveries) == 0


def test_after_a_day_it_is_given_up(make_post: MakePost, receiver: Receiver) -> None:
    post = make_post(first_pause_s=0.05, give_up_s=0.2)
    post.sign()
    receiver.usual = status(500)
    job_id = post.submit(receiver.url)
    post.succeed()

    def given_up() -> bool:
        post.rounds.go()
        return bool(post.delivery(job_id)["state"] == "given_up")

    wait_until(given_up)

    assert 1 <= len(receiver.received) <= 4
    assert post.client.zcard(post.keys.deliveries) == 0


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (hang(5), "there was no answer in time"),
        (drip(5), "there was no answer in time"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "what was answered is no HTTP"),
        (raw(b""), "what was answered is no HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000), "what was answered is no HTTP"),
        (status(307, location="/elsewhere"), "the receiver answered 307, and redirects are not followed"),
    ],
    ids=["hangs", "drips", "no HTTP", "closes", "endless head", "redirects"],
)
def test_a_receiver_that_misbehaves_has_had_no_event(
    make_post: MakePost, receiver: Receiver, reply: Any, why: str
) -> None:
    post = make_post(timeout_s=0.5, first_pause_s=60)
    post.sign()
    receiver.replies = [reply]
    job_id = post.submit(receiver.url)
    post.succeed()

    began = time.monotonic()
    post.rounds.go()

    assert time.monotonic() - began < 2
    assert len(receiver.received) == 1
    assert post.delivery(job_id)["error"] == why
    assert post.delivery(job_id)["state"] == "pending"


@pytest.mark.parametrize("code", [200, 500])
def test_of_a_huge_answer_only_the_status_is_heeded(post: Post, receiver: Receiver, code: int) -> None:
    receiver.replies = [huge(code, 256 * 1024**2)]
    job_id = post.submit(receiver.url)
    post.succeed()

    began = time.monotonic()
    post.rounds.go()

    assert time.monotonic() - began < 2
    assert post.delivery(job_id)["response_status"] == code
    assert post.delivery(job_id)["state"] == ("delivered" if code == 200 else "pending")


def test_a_receiver_that_takes_no_connection_or_reads_nothing_ends_in_time(make_post: MakePost) -> None:
    post = make_post(timeout_s=0.5, first_pause_s=60)
    post.sign()
    with silent_port() as silent:
        port = silent.getsockname()[1]
        job_id = post.submit(f"http://{LOOPBACK}:{port}/")
        tls_id = post.submit(f"https://{LOOPBACK}:{port}/")
        for _ in range(2):
            post.succeed()
        post.rounds.go()
    refused = post.submit(f"http://{LOOPBACK}:{port}/")
    post.succeed()
    post.rounds.go()

    assert post.delivery(job_id)["error"] == post.delivery(tls_id)["error"] == "there was no answer in time"
    assert post.delivery(refused)["error"] == "the receiver cannot be reached, or closed the connection"


def test_nothing_is_sent_inside_unless_that_is_allowed(make_post: MakePost, receiver: Receiver) -> None:
    post = make_post(allow_private_addresses=False, first_pause_s=60)
    post.sign()
    names = (LOOPBACK, "localhost", "127.1", "2130706433", "0x7f000001", "0")
    jobs = [post.submit(f"http://{name}:{receiver.port}/") for name in names]
    for _ in jobs:
        post.succeed()

    post.rounds.go()

    assert receiver.received == []
    whys = {post.delivery(job_id)["error"] for job_id in jobs}
    assert whys == {"the host's address leads inside, and nothing is sent there"}


def test_a_host_that_there_is_not_is_tried_again(make_post: MakePost) -> None:
    post = make_post(first_pause_s=60)
    post.sign()
    job_id = post.submit("https://nowhere.invalid/")
    post.succeed()

    post.rounds.go()

    assert post.delivery(job_id)["error"] == "there is no host of this name"
    assert post.delivery(job_id)["state"] == "pending"


def test_what_a_dead_courier_held_is_due_again_and_its_late_word_counts_no_more(
    make_post: MakePost, receiver: Receiver
) -> None:
    post = make_post(timeout_s=0.05)
    post.sign()
    job_id = post.submit(receiver.url)
    post.succeed()
    impatient = post.settings.model_copy(update={"timeout_s": -4.9})  # a lease of a tenth of a second
    dead = CourierStore(post.client, impatient, post.keys.prefix).collect()
    assert dead is not None
    assert post.store.collect() is None

    wait_until(post.due)
    post.rounds.go()

    assert post.delivery(job_id)["state"] == "delivered"
    assert post.delivery(job_id)["attempts"] == 2
    with pytest.raises(LeaseLost):
        post.store.settle(dead, "retry", status=500)
    assert post.delivery(job_id)["state"] == "delivered"


def test_a_result_that_is_noted_twice_is_noted_once(post: Post, receiver: Receiver) -> None:
    job_id = post.submit(receiver.url)
    post.succeed()
    due = post.store.collect()
    assert due is not None

    assert post.store.settle(due, "retry", status=500, pause_s=60) == "pending"
    first = post.delivery(job_id)
    assert post.store.settle(due, "retry", status=500, pause_s=120) == "pending"

    assert post.delivery(job_id) == first
    assert post.client.hget(post.keys.counts, "m:webhook:failed") == b"1"


def test_what_an_earlier_version_has_ended_is_told_too(post: Post, receiver: Receiver) -> None:
    """Its scripts know nothing of webhooks: they leave the job among those that have not ended."""
    ended, unfinished = post.submit(receiver.url), post.submit(receiver.url)
    post.client.hset(post.keys.job(ended), mapping={"status": "succeeded", "finished_at": 1})
    post.client.zadd(post.keys.key("hooked"), {ended: 1, unfinished: 1, "expired": 1})

    assert post.due() == 1
    post.rounds.go()

    (received,) = receiver.received
    assert json.loads(received.body)["data"]["id"] == ended
    (left,) = post.client.zrange(post.keys.key("hooked"), 0, -1)
    assert left.decode() == unfinished


def test_an_owner_whose_receivers_hang_delays_nobody_else(make_post: MakePost, receiver: Receiver) -> None:
    post = make_post(timeout_s=2.0, max_concurrency_per_owner=2, first_pause_s=60)
    post.sign()
    with Receiver() as slow:
        slow.usual = hang(1.5)
        for _ in range(8):
            post.submit(slow.url, owner="hanging")
            post.succeed()
        other = post.submit(receiver.url, owner="other")
        post.succeed()
        slots = [threading.Thread(target=post.rounds.go) for _ in range(4)]
        began = time.monotonic()
        for slot in slots:
            slot.start()
        receiver.take()
        took_s = time.monotonic() - began
        post.rounds.draining.set()
        for slot in slots:
            slot.join(10)

    assert took_s < 1
    assert post.delivery(other)["state"] == "delivered"
    assert len(slow.received) <= 4


def test_what_cannot_be_sent_holds_up_no_other_and_is_given_up_in_the_end(
    make_post: MakePost, receiver: Receiver
) -> None:
    post = make_post(first_pause_s=0.05, give_up_s=0.3)
    post.sign()
    odd = post.submit("later+https://shop.example/")
    post.succeed()
    post.submit(receiver.url)
    post.succeed()

    post.rounds.go()
    assert len(receiver.received) == 1
    assert post.delivery(odd)["error"] == "this service could not send it"

    def given_up() -> bool:
        post.rounds.go()
        return bool(post.delivery(odd)["state"] == "given_up")

    wait_until(given_up)


def test_a_job_without_a_webhook_is_no_delivery(post: Post) -> None:
    post.jobs.submit()
    post.succeed()

    assert post.due() == 0
    assert post.client.zcard(post.keys.key("hooked")) == 0


def test_a_delivery_whose_record_is_gone_is_dropped(post: Post, receiver: Receiver) -> None:
    job_id = post.submit(receiver.url)
    post.succeed()
    post.client.delete(post.keys.job(job_id))

    post.rounds.go()

    assert receiver.received == []
    assert post.client.zcard(post.keys.deliveries) == 0
