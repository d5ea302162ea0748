"""The service as a client sees it: plain HTTP, no module of the service.

The documented errors become one exception with the service's own words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2

from shared.addresses import holds_login, public_address
from shared.errors import DarkroomError

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0)
_RESULT_TIMEOUT_S: Final = 300.0
_UPLOAD_TIMEOUT: Final = httpx2.Timeout(300.0, connect=5.0)
_PROBE_TIMEOUT_S: Final = 2.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_NOT_READY: Final = 503
_GENERATIONS: Final = "/v1/images/generations"
_EDITS: Final = "/v1/images/edits"
_JOBS: Final = "/v1/images/jobs"
_FILES: Final = "/v1/files"
_BATCHES: Final = "/v1/batches"

Json = dict[str, Any]


class ServiceRefused(DarkroomError):
    """The service answered with an error."""

    code = "service_refused"

    def __init__(self, status: int, message: str, service_code: str | None = None) -> None:
        self.status = status
        self.service_code = service_code
        super().__init__(message)


class ServiceUnreachable(DarkroomError):
    """The service cannot be reached."""

    code = "service_unreachable"


@dataclass(frozen=True)
class Connection:
    """Where the service is, and who asks."""

    base_url: str = DEFAULT_URL
    api_key: str | None = None
    organization: str | None = None
    project: str | None = None

    def root(self) -> httpx2.URL:
        """The service's address without the `/v1` that OpenAI's clients want in it.

        Raises:
            ServiceUnreachable: This is no HTTP address.
        """
        given = public_address(self.base_url) if holds_login(self.base_url) else self.base_url
        try:
            url = httpx2.URL(self.base_url.rstrip("/").removesuffix("/v1"))
        except httpx2.InvalidURL as error:
            msg = f"{given!r} is no address of a service; one looks like {DEFAULT_URL}"
            raise ServiceUnreachable(msg) from error
        if url.scheme not in {"http", "https"} or not url.host:
            msg = f"{given!r} is no address of a service; one looks like {DEFAULT_URL}"
            raise ServiceUnreachable(msg)
        return url

    def headers(self) -> dict[str, str]:
        """The documented headers, as far as they were given."""
        given = {
            "Authorization": f"Bearer {self.api_key}" if self.api_key else None,
            "OpenAI-Organization": self.organization,
            "OpenAI-Project": self.project,
        }
        return {name: value for name, value in given.items() if value}


class Client:
    """One connection to a service."""

    def __init__(self, connection: Connection) -> None:
        root = connection.root()
        self._address = public_address(str(root))
        # A proxy of the environment is for the world outside, never for this machine.
        self._http = httpx2.Client(
            base_url=root,
            headers=connection.headers(),
            timeout=_TIMEOUT,
            trust_env=root.host not in _LOOPBACK,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, body: Json) -> Json:
        """Ask for pictures; return the job that will make them."""
        headers = {"Prefer": "respond-async"}
        return self._json(self._http.build_request("POST", _GENERATIONS, json=body, headers=headers))

    def edit(self, fields: Mapping[str, str], images: Sequence[bytes], mask: bytes | None) -> Json:
        """Ask for pictures that begin with others; return the job that will make them.

        Args:
            fields: as texts.
            images: files, the one that is edited first.
            mask: a file.
        """
        # What the files are called stays here: the service looks at what is in them.
        parts = [("image[]", ("image", image)) for image in images]
        if mask is not None:
            parts.append(("mask", ("mask", mask)))
        headers = {"Prefer": "respond-async"}
        return self._json(
            self._http.build_request(
                "POST", _EDITS, data=dict(fields), files=parts, headers=headers, timeout=_UPLOAD_TIMEOUT
            )
        )

    def job(self, job_id: str) -> Json:
        """Return a job as it is now."""
        return self._json(self._http.build_request("GET", _job_path(job_id)))

    def jobs(self, limit: int, after: str | None = None) -> Json:
        """Return a page of the caller's jobs, newest first, and whether there are more."""
        params = {"limit": str(limit), **({"after": after} if after else {})}
        return self._json(self._http.build_request("GET", _JOBS, params=params))

    def cancel(self, job_id: str) -> Json:
        """Cancel a job; return it as it is then."""
        return self._json(self._http.build_request("DELETE", _job_path(job_id)))

    def result(self, job_id: str) -> Json:
        """Return the documented answer of a job that succeeded."""
        return self._json(
            self._http.build_request("GET", f"{_job_path(job_id)}/result", timeout=_RESULT_TIMEOUT_S)
        )

    def upload(self, file: Path) -> Json:
        """Upload the lines of a batch; return the file as the service has it."""
        with file.open("rb") as lines:
            parts = {"file": (file.name, lines, "application/jsonl")}
            return self._json(
                self._http.build_request(
                    "POST", _FILES, data={"purpose": "batch"}, files=parts, timeout=_UPLOAD_TIMEOUT
                )
            )

    def begin_batch(self, file_id: str, endpoint: str) -> Json:
        """Begin a batch of an uploaded file; return it."""
        body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h"}
        return self._json(self._http.build_request("POST", _BATCHES, json=body))

    def batch(self, batch_id: str) -> Json:
        """Return a batch as it is now."""
        return self._json(self._http.build_request("GET", f"{_BATCHES}/{quote(batch_id, safe='')}"))

    def cancel_batch(self, batch_id: str) -> Json:
        """Cancel a batch; return it as it is then."""
        path = f"{_BATCHES}/{quote(batch_id, safe='')}/cancel"
        return self._json(self._http.build_request("POST", path))

    def download(self, file_id: str, file: Path) -> None:
        """Write what is in a file of the service to one here."""
        path = f"{_FILES}/{quote(file_id, safe='')}/content"
        answer = self._send(self._http.build_request("GET", path, timeout=_RESULT_TIMEOUT_S), stream=True)
        try:
            if not answer.is_success:
                answer.read()
                _checked(answer)
            with file.open("wb") as written:
                for piece in answer.iter_bytes():
                    written.write(piece)
        except httpx2.TransportError as error:
            msg = f"the service at {self._address} broke off while {file.name} was fetched"
            raise ServiceUnreachable(msg) from error
        finally:
            answer.close()

    def models(self) -> list[Json]:
        """Return the models that the service offers."""
        found: list[Json] = self._json(self._http.build_request("GET", "/v1/models"))["data"]
        return found

    def alive(self) -> bool:
        """Whether a Darkroom process answers at all."""
        try:
            self._json(self._http.build_request("GET", "/healthz", timeout=_PROBE_TIMEOUT_S))
        except (ServiceRefused, ServiceUnreachable):
            return False
        return True

    def readiness(self) -> tuple[bool, Json]:
        """Whether the service can serve, and what it says about that."""
        answer = self._send(self._http.build_request("GET", "/readyz", timeout=_PROBE_TIMEOUT_S))
        if answer.status_code == _NOT_READY:
            return False, _members(answer)
        return True, _checked(answer)

    def _json(self, request: httpx2.Request) -> Json:
        return _checked(self._send(request))

    def _send(self, request: httpx2.Request, *, stream: bool = False) -> httpx2.Response:
        """Send a request and translate the driver's errors.

        Raises:
            ServiceUnreachable: There was no answer.
        """
        try:
            return self._http.send(request, stream=stream)
        except httpx2.TimeoutException as error:
            msg = f"the service at {self._address} did not answer in time"
            raise ServiceUnreachable(msg) from error
        except httpx2.TransportError as error:
            msg = f"no service answers at {self._address} ({error}); start one with: darkroom up"
            raise ServiceUnreachable(msg) from error


def _job_path(job_id: str) -> str:
    return f"{_JOBS}/{quote(job_id, safe='')}"


def _checked(answer: httpx2.Response) -> Json:
    """Return the body of a good answer.

    Raises:
        ServiceRefused: The answer is an error, or not the JSON that was promised.
    """
    members = _members(answer)
    if answer.is_success and members:
        return members
    error = members.get("error")
    if isinstance(error, dict) and error.get("message"):
        raise ServiceRefused(answer.status_code, str(error["message"]), error.get("code"))
    address = public_address(str(answer.request.url))
    msg = f"{address} answered {answer.status_code} {answer.reason_phrase}, not as Darkroom does"
    raise ServiceRefused(answer.status_code, msg)


def _members(answer: httpx2.Response) -> Json:
    """The members of a JSON object; none when the body is something else."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
