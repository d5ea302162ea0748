"""Asks a service for pictures, follows the job and writes what comes back."""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.client import Client, Json, ServiceRefused, ServiceUnreachable
from shared.errors import DarkroomError, JobFailed

FINAL: Final = frozenset({"succeeded", "failed", "cancelled"})
POLL_S: Final = 0.2
PATIENCE_S: Final = 30.0
_BUSY: Final = frozenset({429, 503})


class CannotWrite(DarkroomError):
    """The file cannot be written."""

    code = "cannot_write"


@dataclass(frozen=True)
class Target:
    """Where the pictures go: `FILE`, or `FILE-1`, `FILE-2` and so on when there are several."""

    file: Path

    def check(self) -> None:
        """Look before anything is drawn for nothing.

        Raises:
            CannotWrite: The folder is missing, or the file is a folder.
        """
        if not self.file.parent.is_dir():
            msg = f"cannot write {self.file}: there is no folder {self.file.parent}"
            raise CannotWrite(msg)
        if self.file.is_dir():
            msg = f"cannot write {self.file}: it is a folder"
            raise CannotWrite(msg)

    def paths(self, count: int) -> list[Path]:
        """The files of so many pictures."""
        if count == 1:
            return [self.file]
        return [self.file.with_stem(f"{self.file.stem}-{i}") for i in range(1, count + 1)]

    def write(self, result: Json) -> list[Path]:
        """Write the pictures of a documented answer; return the files.

        Raises:
            CannotWrite: The disk is full, or writing is not allowed.
        """
        images = [base64.b64decode(item["b64_json"]) for item in result["data"]]
        paths = self.paths(len(images))
        for path, image in zip(paths, images, strict=True):
            try:
                path.write_bytes(image)
            except OSError as error:
                msg = f"cannot write {path}: {error.strerror}"
                raise CannotWrite(msg) from error
        return paths


def follow(client: Client, job: Json, poll_s: float = POLL_S) -> Iterator[Json]:
    """Yield the job as it was submitted, then again and again until it has ended.

    Raises:
        JobFailed: It ended without a picture.
        ServiceUnreachable: The service was away for longer than a restart takes; the job itself goes on.
    """
    yield job
    while job["status"] not in FINAL:
        time.sleep(poll_s)
        job = _patiently(client, job["id"])
        yield job
    if job["status"] != "succeeded":
        raise JobFailed(why(job))


def why(job: Json) -> str:
    """Why a job ended without a picture."""
    error = job.get("error") or {}
    return str(error.get("message") or f"job {job['id']} was {job['status']}")


def _patiently(client: Client, job_id: str) -> Json:
    """Read a job; a service that is being restarted gets some time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.job(job_id)
        except (ServiceRefused, ServiceUnreachable) as error:
            lasting = isinstance(error, ServiceRefused) and error.status not in _BUSY
            if lasting or time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)
