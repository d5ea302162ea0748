"""A courier without Celery: its rounds, a real Valkey, a real receiver; and jobs that end."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from courier.rounds import Rounds
from courier.sending import Sender
from courier.store import CourierStore
from shared.jobs.keys import Keys
from shared.redis_clients import sync_client
from shared.settings import JobSettings, RedisSettings, WebhookSettings
from shared.webhooks import OPEN, Hook, Signing
from tests.jobs import Caller
from tests.receiver import Receiver
from worker.store import WorkerStore

EVENTS = ("job.succeeded", "job.failed", "job.cancelled")


class Post:
    """Everything between a job's end and its receiver."""

    def __init__(self, redis: RedisSettings, **settings: Any) -> None:
        self.settings = WebhookSettings(
            **{"allow_private_addresses": True, "timeout_s": 2.0, "first_pause_s": 0.05, **settings}
        )
        self.client: Any = sync_client(redis)
        self.keys = Keys(redis.prefix)
        self.jobs = Caller(self.client, redis.prefix)
        self.worker = WorkerStore(self.client, JobSettings(), redis.prefix)
        self.store = CourierStore(self.client, self.settings, redis.prefix)
        self.rounds = Rounds(self.store, Sender(self.settings), self.settings)

    def sign(self, signer: str = OPEN) -> Signing:
        """Make a secret."""
        signing = Signing.new(1)
        self.client.hset(self.keys.webhook_secrets, signer, signing.model_dump_json())
        return signing

    def submit(
        self, url: str, *, events: tuple[str, ...] = EVENTS, signer: str = OPEN, owner: str = "owner"
    ) -> str:
        """Submit a job that has a webhook."""
        hook = Hook(url=url, events=events, signer=signer).model_dump_json()
        return self.jobs.submit(owner=owner, fields={"webhook": hook})

    def succeed(self) -> str:
        """Draw the next job."""
        (attempt,) = self.worker.claim("m", "w", want=1, alone=True).attempts
        self.worker.save_draft(attempt, [b"aW1hZ2U="])
        self.worker.finish(attempt, images=1, usage={"total_tokens": 1})
        return attempt.job_id

    def delivery(self, job_id: str) -> dict[str, Any]:
        """What is noted of a delivery."""
        return json.loads(self.jobs.record(job_id).get("delivery", "{}"))

    def due(self) -> int:
        """How many deliveries are due."""
        return self.store.dispatch("courier")

    def close(self) -> None:
        self.client.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def make_post(redis_settings: RedisSettings) -> Iterator[Callable[..., Post]]:
    """A function that makes one; it takes settings of webhooks."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Post:
            post = Post(redis_settings, **settings)
            stack.callback(post.close)
            return post

        yield make


@pytest.fixture
def post(make_post: Callable[..., Post]) -> Post:
    post = make_post()
    post.sign()
    return post
