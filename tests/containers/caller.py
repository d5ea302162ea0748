"""Callers of the service, through its published port alone."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from tests.containers.report import require, until

_PATH: Final = "/v1/images/generations"
_EDITS: Final = "/v1/images/edits"
_DRAWN_S: Final = 300.0
_UNFINISHED: Final = ("queued", "running")


class Caller:
    """Somebody who asks for pictures: held, or to be fetched later."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=_DRAWN_S, trust_env=False)
        self._threads = ThreadPoolExecutor(max_workers=16)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=error is None, cancel_futures=True)
        self._http.close()

    def draw(self, body: dict[str, Any]) -> httpx2.Response:
        """Ask and wait for the picture, as the documented call does."""
        return self._http.post(_PATH, json=body)

    def edit(self, fields: dict[str, Any], image: bytes, mask: bytes) -> httpx2.Response:
        """Ask for an edit by a form, and wait for the picture."""
        return self._http.post(_EDITS, data=fields, files={"image": image, "mask": mask})

    def send_batch(self, lines: bytes) -> str:
        """Upload the lines of a batch for new pictures, and begin it; return its id."""
        form = {"data": {"purpose": "batch"}, "files": {"file": ("lines.jsonl", lines)}}
        uploaded = self._http.post("/v1/files", **form)  # type: ignore[arg-type]
        require(uploaded.is_success, f"a file was refused: {uploaded.text[:500]}")
        wanted = {"input_file_id": uploaded.json()["id"], "endpoint": _PATH, "completion_window": "24h"}
        begun = self._http.post("/v1/batches", json=wanted)
        require(begun.is_success, f"a batch was refused: {begun.text[:500]}")
        return str(begun.json()["id"])

    def hold(self, bodies: Sequence[dict[str, Any]]) -> list["Future[httpx2.Response]"]:
        """Ask for several at once; the calls are held while this one goes on."""
        return [self._threads.submit(self.draw, body) for body in bodies]

    def submit(self, body: dict[str, Any]) -> str:
        """Ask for a picture to be fetched later; return the job's id once it is acknowledged."""
        answer = self._http.post(_PATH, json=body, headers={"Prefer": "respond-async"})
        require(answer.status_code == httpx2.codes.ACCEPTED, f"a job was refused: {answer.text[:500]}")
        return str(answer.json()["id"])

    def get(self, path: str) -> httpx2.Response:
        """Ask for anything."""
        return self._http.get(path)

    def job(self, job_id: str) -> dict[str, Any]:
        """A job, as its owner sees it."""
        answer = self.get(f"/v1/images/jobs/{job_id}")
        require(answer.status_code == httpx2.codes.OK, f"job {job_id}: {answer.text[:500]}")
        job: dict[str, Any] = answer.json()
        return job

    def result(self, job_id: str) -> bytes:
        """The body of a job's result."""
        answer = self.get(f"/v1/images/jobs/{job_id}/result")
        require(answer.status_code == httpx2.codes.OK, f"the result of {job_id}: {answer.text[:500]}")
        return answer.content

    def succeeded(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Wait until all of these jobs have ended; each must have succeeded."""
        jobs = until(lambda: self._ended(job_ids), _DRAWN_S, f"the end of {len(job_ids)} jobs")
        for job in jobs:
            require(job["status"] == "succeeded", f"job {job['id']} {job['status']}: {job['error']}")
        return jobs

    def holding(self) -> dict[str, int]:
        """How many jobs each live worker holds, by the host in its name."""
        workers = self.get("/v1/operator").json()["workers"]
        return {worker["name"].split(":")[0]: worker["jobs"] for worker in workers}

    def ready(self) -> bool:
        """Whether the service says that it can serve."""
        try:
            return self._http.get("/readyz", timeout=5).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    def _ended(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        jobs = [self.job(job_id) for job_id in job_ids]
        return [] if any(job["status"] in _UNFINISHED for job in jobs) else jobs
