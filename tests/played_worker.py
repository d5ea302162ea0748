"""A worker played by a test: the real job store and the real protocol, only the pictures are made up."""

import base64
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shared.job_warnings import JobWarning
from shared.objects import open_store
from shared.params import Params
from shared.redis_clients import sync_client
from shared.settings import Settings
from shared.usage import usage
from tests.waiting import wait_until
from worker.attempt import Attempt
from worker.store import WorkerStore
from worker.uploads import MEDIA_TYPES, Uploads

TEXT_TOKENS = 3


@dataclass
class Willing:
    """An attempt that nobody tells to stop."""

    attempt: Attempt

    def stop_requested(self) -> bool:
        return False


class PlayedWorker:
    """Claims, reports, finishes and fails when the test says so, or everything at once in :meth:`serving`."""

    def __init__(
        self, settings: Settings, models: Sequence[str] = ("tiny", "plain"), name: str = "played"
    ) -> None:
        self.client: Any = sync_client(settings.redis)
        self.store = WorkerStore(self.client, settings.jobs, settings.redis.prefix)
        objects = open_store(settings.results)
        keep_s = settings.worker.keep_result_s
        self.uploads = objects and Uploads(self.store, objects, settings.results, keep_s)
        self.drawn: dict[str, Params] = {}
        self.models = models
        self.takes_low = False
        self._name = name

    def close(self) -> None:
        self.client.close()

    def beat(self, **said: object) -> None:
        """Send a heartbeat, and what it says of itself: from now on the service knows of a worker."""
        self.store.renew(self._name, self.models, [], said, low=self.takes_low)

    def claim(self) -> Attempt | None:
        """Take a job if there is one."""
        for model in self.models:
            claim = self.store.claim(model, self._name, want=1, low=int(self.takes_low), alone=True)
            for attempt in claim.attempts:
                self.drawn[attempt.job_id] = Params.model_validate_json(attempt.params)
                return attempt
        return None

    def take(self) -> Attempt:
        """Wait for a job and take it."""
        return wait_until(self.claim, what="a queued job")

    def finish(self, attempt: Attempt, *warnings: JobWarning) -> list[bytes]:
        """Deliver made-up images, and warnings; return the images as they were before base64."""
        params = Params.model_validate_json(attempt.params)
        images = [f"{params.prompt} {seed}".encode() for seed in params.seeds]
        names = self._upload(attempt, params, images)
        draft = [name.encode() for name in names] or [base64.b64encode(image) for image in images]
        self.store.save_draft(attempt, draft)
        self.store.finish(
            attempt,
            images=len(images),
            usage=usage(params, TEXT_TOKENS),
            warnings=warnings,
            objects=names,
        )
        return images

    def _upload(self, attempt: Attempt, params: Params, images: Sequence[bytes]) -> list[str]:
        if not params.stored:
            return []
        assert self.uploads is not None
        names = self.uploads.names(attempt, params.n, params.output_format)
        self.uploads.write(Willing(attempt), names, images, MEDIA_TYPES[params.output_format])
        return names

    def do(self) -> str:
        """Wait for a job, draw it, and return its id."""
        attempt = self.take()
        self.finish(attempt)
        return attempt.job_id

    def fail(self, attempt: Attempt, message: str = "the paint ran out") -> None:
        """End an attempt without a picture."""
        self.store.fail(attempt, code="generation_failed", message=message)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Draw every job at once, in a thread, as long as the context lasts."""
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                attempt = self.claim()
                if attempt is None:
                    self.beat()
                    stopped.wait(0.002)
                else:
                    self.finish(attempt)

        thread = threading.Thread(target=serve, name="played-worker")
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join(timeout=10)
