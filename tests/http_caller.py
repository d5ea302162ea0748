"""One owner of jobs who asks the service over HTTP, as any program would."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import httpx2

GENERATIONS = "/v1/images/generations"
JOBS = "/v1/images/jobs"
ASYNC = {"Prefer": "respond-async"}

Response = httpx2.Response
Json = dict[str, Any]


class HttpCaller:
    """Asks with one key, organization and project."""

    def __init__(self, url: str, key: str = "key", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx2.Client(
            base_url=url, headers={**authorization, **named}, timeout=20, trust_env=False
        )
        self._threads = ThreadPoolExecutor(max_workers=16)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.http.close()

    def generate(self, headers: Mapping[str, str] | None = None, **fields: Any) -> Response:
        """POST the documented request; a prompt is there unless the test gives another."""
        return self.http.post(GENERATIONS, json={"prompt": "a tiny picture", **fields}, headers=headers)

    def later(self, headers: Mapping[str, str] | None = None, **fields: Any) -> Future[Response]:
        """Do :meth:`generate` in a thread, for calls that are held until the test lets them go."""
        return self._threads.submit(self.generate, headers, **fields)

    def post(self, body: bytes, content_type: str | None = "application/json") -> Response:
        """POST raw bytes."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        return self.http.post(GENERATIONS, content=body, headers=headers)

    def submit(self, headers: Mapping[str, str] | None = None, **fields: Any) -> str:
        """Submit a job and return its id."""
        answer = self.generate({**ASYNC, **(headers or {})}, **fields)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id

    def job(self, job_id: str) -> Json:
        """Return a job as it is now."""
        answer = self.http.get(f"{JOBS}/{job_id}")
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body

    def result(self, job_id: str) -> Response:
        """Ask for a job's result."""
        return self.http.get(f"{JOBS}/{job_id}/result")

    def cancel(self, job_id: str) -> Response:
        """Cancel a job."""
        return self.http.delete(f"{JOBS}/{job_id}")

    def get_later(self, path: str, headers: Mapping[str, str] | None = None) -> Future[Response]:
        """GET in a thread."""
        return self._threads.submit(self.http.get, path, headers=headers)


def assert_error(
    answer: Response, status: int, code: str, *, param: str | None = None, kind: str = "invalid_request_error"
) -> str:
    """Check everything that a program may rely on in an error; return its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert set(body) == ({"detail", "error"} if status == 422 else {"error"})
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["error"]["code"], body["error"]["param"], body["error"]["type"]) == (code, param, kind)
    message: str = body["error"]["message"]
    assert message
    return message
