"""`darkroom jobs`: list, show, cancel."""

import pytest

from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.service import FakeService, job

JOBS = ("GET", "/v1/images/jobs")
JOB = "/v1/images/jobs/0123456789abcdef"


def test_jobs_are_listed_with_their_whole_ids(service: FakeService, darkroom: Darkroom) -> None:
    page = {
        "object": "list",
        "data": [job("running", progress=45), job("succeeded", id="f" * 32)],
        "has_more": False,
    }
    service.will_answer(*JOBS, page)

    result = darkroom("jobs", "--limit", "2", "--base-url", service.url, COLUMNS="80")

    assert result.exit_code == 0
    assert service.asked[0].path == "/v1/images/jobs?limit=2"
    _, running, succeeded = (line.split() for line in result.stdout.splitlines())
    assert running[:5] == ["0123456789abcdef", "running", "45", "%", "glyph"]
    assert succeeded[:3] == ["f" * 32, "succeeded", "glyph"]
    assert succeeded[-2:] == ["4", "s"]


def test_a_page_that_is_not_the_last_says_how_to_go_on(service: FakeService, darkroom: Darkroom) -> None:
    service.will_answer(*JOBS, {"object": "list", "data": [job("queued")], "has_more": True})

    result = darkroom("jobs", "--after", "a&b", "--base-url", service.url)

    assert service.asked[0].path == "/v1/images/jobs?limit=20&after=a%26b"
    assert "darkroom jobs --after 0123456789abcdef" in result.stdout


def test_without_jobs_it_says_so(service: FakeService, darkroom: Darkroom) -> None:
    service.will_answer(*JOBS, {"object": "list", "data": [], "has_more": False})

    assert darkroom("jobs", "--base-url", service.url).stdout == "no jobs\n"


def test_a_job_is_shown_with_its_error(service: FakeService, darkroom: Darkroom) -> None:
    error = {"code": "worker_lost", "message": "Every worker that ran this job was lost."}
    service.will_answer("GET", JOB, job("failed", error=error, seeds=[1, 2]))

    result = darkroom("jobs", "show", "0123456789abcdef", "--base-url", service.url)

    assert result.exit_code == 0
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["error"].strip() == error["message"]
    assert rows["seeds"].strip() == "1, 2"
    assert "expires_at" not in rows
    assert "warnings" not in rows


def test_a_job_is_shown_with_its_warnings(service: FakeService, darkroom: Darkroom) -> None:
    warning = {"code": "prompt_truncated", "message": "Only 46 of 50 tokens were read."}
    service.will_answer("GET", JOB, {**job("succeeded"), "warnings": [warning]})

    result = darkroom("jobs", "show", "0123456789abcdef", "--base-url", service.url)

    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["warnings"].strip() == warning["message"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("cancelled", "job 0123456789abcdef is cancelled"),
        ("succeeded", "job 0123456789abcdef had already succeeded; nothing to cancel"),
        ("running", "job 0123456789abcdef is being cancelled; now: drawing with glyph"),
    ],
)
def test_cancelling_says_what_became_of_the_job(
    service: FakeService, darkroom: Darkroom, status: str, words: str
) -> None:
    service.will_answer("DELETE", JOB, job(status))

    result = darkroom("jobs", "cancel", "0123456789abcdef", "--base-url", service.url)

    assert (result.exit_code, result.stdout) == (0, f"{words}\n")


def test_an_id_cannot_lead_to_another_path(service: FakeService, darkroom: Darkroom) -> None:
    result = darkroom("jobs", "show", "../../models?x", "--base-url", service.url)

    assert result.exit_code == 1
    assert service.asked[0].path == "/v1/images/jobs/..%2F..%2Fmodels%3Fx"


def test_an_unknown_job_is_one_line(service: FakeService, darkroom: Darkroom) -> None:
    service.will_refuse("GET", JOB, 404, "There is no such job.", "job_not_found")

    result = darkroom("jobs", "show", "0123456789abcdef", "--base-url", service.url)

    assert (result.exit_code, result.stderr) == (1, "error: There is no such job.\n")
