"""Pictures whose callers want addresses: into the store of objects, and out of it when they expire."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.errors import AttemptCancelled, JobNotFound, LeaseLost, ObjectUnavailable, UploadFailed
from shared.logs import get_logger
from shared.objects import ObjectStore
from shared.params import OutputFormat
from shared.settings import ResultSettings
from worker.attempt import Attempt
from worker.metrics import observe_deleted, observe_upload
from worker.store import WorkerStore

log = get_logger(__name__)

MEDIA_TYPES: Final = {each: f"image/{each.value}" for each in OutputFormat}
DELETE_S: Final = 1.0
"""How often it is looked for what is to be deleted."""
_MOST: Final = 100
_AGAIN_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 5.0
# So often it is looked whether an attempt that waits for its next try is still wanted.
_LOOK_S: Final = 0.1


class Stoppable(Protocol):
    """An attempt that may be told to stop."""

    @property
    def attempt(self) -> Attempt:
        """The attempt."""

    def stop_requested(self) -> bool:
        """Whether it was told to."""


@dataclass(frozen=True)
class Uploads:
    """Writes pictures to the store of objects.

    Args:
        store: the job store.
        objects: where they go.
        settings: those of results.
        keep_s: how long the attempt may take from the last picture to its result.
    """

    store: WorkerStore
    objects: ObjectStore
    settings: ResultSettings
    keep_s: float

    def names(self, attempt: Attempt, images: int, output_format: OutputFormat) -> list[str]:
        """Return names that nobody can guess and no other attempt has, one an image, and note them in Redis.

        Raises:
            LeaseLost: the job is no longer this attempt's.
            StoreUnavailable: Redis is away.
        """
        stem = f"pictures/{attempt.job_id}-{secrets.token_hex(8)}"
        names = [f"{stem}-{index}.{output_format.value}" for index in range(images)]
        # Each picture may begin its last try when its time for tries is over.
        longest_s = images * (self.settings.upload_retry_s + 2 * self.settings.timeout_s) + self.keep_s
        try:
            self.store.note_objects(attempt, names, keep_s=longest_s + 60)
        except JobNotFound as error:
            raise LeaseLost from error
        return names

    def write(self, held: Stoppable, names: Sequence[str], images: Sequence[bytes], media_type: str) -> None:
        """Write each image under its name, again and again where the store is away. Blocking.

        Raises:
            AttemptCancelled: the attempt was told to stop meanwhile.
            UploadFailed: one could not be written for too long.
        """
        for name, image in zip(names, images, strict=True):
            began_at = time.monotonic()
            self._write(held, name, image, media_type)
            observe_upload("succeeded", time.monotonic() - began_at)

    def _write(self, held: Stoppable, name: str, image: bytes, media_type: str) -> None:
        give_up_at = time.monotonic() + self.settings.upload_retry_s
        pause_s = 0.1
        while True:
            if held.stop_requested():
                raise AttemptCancelled
            try:
                self.objects.put(name, image, media_type)
            except ObjectUnavailable as error:
                if time.monotonic() >= give_up_at:
                    log.warning("upload.failed", object=name, reason=_reason(error))
                    observe_upload("failed")
                    raise UploadFailed from error
                log.warning("upload.retried", object=name, reason=_reason(error))
                observe_upload("retried")
                _wait(min(pause_s, give_up_at - time.monotonic()), held.stop_requested)
                pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
            else:
                return


class Deleter:
    """Deletes what has expired, and what no attempt has finished.

    Args:
        store: the job store, which knows what that is.
        objects: where it lies.
        settings: those of results.
    """

    def __init__(self, store: WorkerStore, objects: ObjectStore, settings: ResultSettings) -> None:
        self._store = store
        self._objects = objects
        self._deletes = settings.delete_expired

    def delete(self) -> None:
        """Delete what is due now; what cannot be deleted is tried again in a minute, by any worker.

        Raises:
            ObjectUnavailable: it could not be deleted.
            StoreUnavailable: Redis is away.
        """
        while names := self._store.take_expired(most=_MOST, again_s=_AGAIN_S):
            if self._deletes:
                self._delete(names)
            self._store.deleted(names)
            if len(names) < _MOST:
                return

    def _delete(self, names: Sequence[str]) -> None:
        try:
            self._objects.delete(names)
        except ObjectUnavailable:
            observe_deleted("failed", len(names))
            raise
        observe_deleted("deleted", len(names))


def _reason(error: ObjectUnavailable) -> str:
    """Return the name of what happened: its words name addresses and keys of requests."""
    return type(error.__cause__ or error).__name__


def _wait(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopped() and (left_s := until - time.monotonic()) > 0:
        time.sleep(min(_LOOK_S, left_s))
