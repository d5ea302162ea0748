"""A caller of the service: plain HTTP with a time-out on everything."""

import asyncio
import re
from types import TracebackType
from typing import Any, Self

import httpx2

from tests.faults.harness.lasting import lasting
from tests.faults.harness.sent import sent

GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"
JOBS = "/v1/images/jobs"


class Caller:
    """One owner at one API process."""

    def __init__(
        self,
        url: str,
        key: str = "tester",
        timeout_s: float = 60.0,
        *,
        accepted: list[str] | None = None,
        hook: str = "",
    ) -> None:
        self.url = url
        self._hook = hook
        self.accepted = accepted if accepted is not None else []
        """Ids of the jobs it was promised; may be shared among callers."""
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"},
            timeout=timeout_s,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def draw(
        self, prompt: str, *, headers: dict[str, str] | None = None, timeout_s: float = 60.0, **fields: Any
    ) -> httpx2.Response:
        """Ask for a picture and hold the call; pictures that the prompt tells of are sent to be edited."""
        path, request = _request(prompt, {**_webhook(prompt, self._hook), **fields})
        response = await self._http.post(path, **request, headers=headers or {}, timeout=timeout_s)
        if job_id := response.headers.get("x-job-id"):
            self.accepted.append(job_id)
        return response

    async def stream(self, prompt: str) -> tuple[int, list[str], str]:
        """Ask for a picture as events; return the status, the events' names, and the last one's data."""
        fields = {**_webhook(prompt, self._hook), "stream": True, "partial_images": 2}
        path, request = _request(prompt, fields)
        names, data = [], ""
        async with self._http.stream("POST", path, **request) as response:
            if response.status_code != httpx2.codes.OK:
                return response.status_code, [], (await response.aread()).decode()
            self.accepted.append(response.headers["x-job-id"])
            async for line in response.aiter_lines():
                field, _, value = line.partition(": ")
                names += [value] if field == "event" else []
                data = value if field == "data" else data
        return response.status_code, names, data

    async def submit(self, prompt: str, *, headers: dict[str, str] | None = None, **fields: Any) -> str:
        """Make a job and return its id."""
        response = await self.draw(
            prompt, headers={"prefer": "respond-async", **(headers or {})}, timeout_s=30, **fields
        )
        assert response.status_code == httpx2.codes.ACCEPTED, response.text
        job_id: str = response.json()["id"]
        return job_id

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return the job object."""
        response = await self._http.get(f"{JOBS}/{job_id}", timeout=10)
        assert response.status_code == httpx2.codes.OK, response.text
        document: dict[str, Any] = response.json()
        return document

    async def result(self, job_id: str) -> httpx2.Response:
        """Fetch a job's result."""
        return await self._http.get(f"{JOBS}/{job_id}/result", timeout=10)

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancel a job and return the job object."""
        response = await self._http.delete(f"{JOBS}/{job_id}", timeout=10)
        assert response.status_code == httpx2.codes.OK, response.text
        document: dict[str, Any] = response.json()
        return document

    async def try_cancel(self, job_id: str) -> httpx2.Response:
        """Cancel a job, whatever the answer."""
        return await self._http.delete(f"{JOBS}/{job_id}", timeout=10)

    async def watch(self, job_id: str, timeout_s: float) -> None:
        """Follow a job to its end, through every refusal on the way."""
        async with asyncio.timeout(timeout_s):
            while True:
                response = await self._http.get(f"{JOBS}/{job_id}", headers={"prefer": "wait=5"}, timeout=15)
                assert response.status_code in (200, 503), response.text
                if response.status_code == httpx2.codes.OK:
                    if response.json()["status"] not in ("queued", "running"):
                        return
                else:
                    await lasting(0.2)


def _webhook(prompt: str, url: str) -> dict[str, Any]:
    """Return the webhook that a prompt names: ``told:all``, or one end alone as ``told:failed``."""
    found = re.search(r"told:(\w+)", prompt)
    if found is None:
        return {}
    end = found.group(1)
    return {"webhook": {"url": url, **({} if end == "all" else {"events": [f"job.{end}"]})}}


def _request(prompt: str, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return where to ask, and how httpx is to send it."""
    pictures = sent(prompt)
    if "stored:url" in prompt:
        fields = {"response_format": "url", **fields}
    if pictures is not None:
        return EDITS, pictures.request({"prompt": prompt, **fields})
    return GENERATIONS, {"json": {"prompt": prompt, "size": "64x64", **fields}}
