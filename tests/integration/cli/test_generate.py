"""`darkroom generate`: each option becomes its field, each picture a file, each error a line."""

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Darkroom
from tests.integration.cli.processes import REPO_ROOT
from tests.integration.cli.service import FakeService, job
from tests.waiting import wait_until

POST = ("POST", "/v1/images/generations")
GET_JOB = ("GET", "/v1/images/jobs/0123456789abcdef")
GET_RESULT = ("GET", "/v1/images/jobs/0123456789abcdef/result")


def will_draw(service: FakeService, *images: bytes, **members: Any) -> None:
    service.will_answer(*POST, job("queued"), status=202)
    service.will_answer(*GET_JOB, job("succeeded", progress=100, **members))
    data = [{"b64_json": base64.b64encode(image).decode()} for image in images]
    service.will_answer(*GET_RESULT, {"created": 1, "data": data, "usage": {}})


@pytest.mark.parametrize(
    ("option", "value", "field", "sent"),
    [
        ("--model", "glyph", "model", "glyph"),
        ("--size", "1024x768", "size", "1024x768"),
        ("--quality", "high", "quality", "high"),
        ("--style", "natural", "style", "natural"),
        ("--background", "transparent", "background", "transparent"),
        ("--n", "3", "n", 3),
        ("--output-format", "webp", "output_format", "webp"),
        ("--output-compression", "0", "output_compression", 0),
        ("--moderation", "low", "moderation", "low"),
        ("--user", "someone", "user", "someone"),
        ("--seed", "0", "seed", 0),
        ("--negative-prompt", "rain", "negative_prompt", "rain"),
    ],
)
def test_an_option_is_sent_as_the_field_it_names(
    service: FakeService, darkroom: Darkroom, option: str, value: str, field: str, sent: object
) -> None:
    will_draw(service, b"picture")

    result = darkroom("generate", "a swan", "-o", "swan", option, value, "--base-url", service.url)

    assert result.exit_code == 0, result.output
    assert service.bodies() == [{"prompt": "a swan", field: sent, "response_format": "b64_json"}]


@pytest.mark.parametrize(
    ("name", "sent"), [("a.png", "png"), ("a.webp", "webp"), ("a.jpg", "jpeg"), ("a.JPEG", "jpeg")]
)
def test_the_name_of_the_file_says_the_format(
    service: FakeService, darkroom: Darkroom, name: str, sent: str
) -> None:
    will_draw(service, b"picture")

    darkroom("generate", "a swan", "-o", name, "--base-url", service.url)

    told = {"output_format": sent, "response_format": "b64_json"}
    assert service.bodies() == [{"prompt": "a swan", **told}]


def test_who_asks_is_sent_in_the_documented_headers(service: FakeService, darkroom: Darkroom) -> None:
    will_draw(service, b"picture")
    who = ("--api-key", "sesame", "--organization", "org-a", "--project", "proj-b")

    darkroom("generate", "a swan", *who, "--base-url", service.url)

    headers = service.asked[0].headers
    assert headers["authorization"] == "Bearer sesame"
    assert headers["openai-organization"] == "org-a"
    assert headers["openai-project"] == "proj-b"
    assert headers["prefer"] == "respond-async"


def test_who_asks_and_where_can_come_from_the_environment(service: FakeService, darkroom: Darkroom) -> None:
    will_draw(service, b"picture")

    result = darkroom("generate", "x", DARKROOM_BASE_URL=f"{service.url}/v1/", DARKROOM_API_KEY="sesame")

    assert result.exit_code == 0, result.output
    assert service.asked[0].path == "/v1/images/generations"
    assert service.asked[0].headers["authorization"] == "Bearer sesame"


def test_one_picture_becomes_the_file(service: FakeService, darkroom: Darkroom, tmp_path: Path) -> None:
    will_draw(service, b"the picture")

    result = darkroom("generate", "a swan", "-o", "swan.png", "--base-url", service.url)

    assert (tmp_path / "swan.png").read_bytes() == b"the picture"
    assert result.stdout == "wrote swan.png\n"
    assert "model glyph, seed 42" in result.stderr


def test_what_was_drawn_otherwise_than_asked_is_said(service: FakeService, darkroom: Darkroom) -> None:
    warning = {"code": "size_resampled", "message": "It was drawn at 512x512 and resampled to 64x64."}
    will_draw(service, b"picture", warnings=[warning])

    result = darkroom("generate", "a swan", "--base-url", service.url)

    assert result.stderr.splitlines()[-1] == warning["message"]


def test_several_pictures_are_numbered(service: FakeService, darkroom: Darkroom, tmp_path: Path) -> None:
    will_draw(service, b"first", b"second")
    (tmp_path / "out").mkdir()

    result = darkroom("generate", "a swan", "-n", "2", "-o", "out/swan.png", "--base-url", service.url)

    assert (tmp_path / "out" / "swan-1.png").read_bytes() == b"first"
    assert (tmp_path / "out" / "swan-2.png").read_bytes() == b"second"
    assert result.stdout == "wrote out/swan-1.png\nwrote out/swan-2.png\n"


def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(
    service: FakeService, darkroom: Darkroom
) -> None:
    service.will_answer(*GET_JOB, job("queued", queue_position=2, eta_seconds=9))
    service.will_answer(*GET_JOB, job("running", progress=10))
    service.will_answer(*GET_JOB, job("running", progress=12))
    service.will_answer(*GET_JOB, job("running", progress=60))
    will_draw(service, b"picture")
    service.answers[POST] = [(202, service.answers[GET_JOB].pop(0)[1])]

    result = darkroom("generate", "a swan", "--base-url", service.url)

    assert result.stderr.splitlines()[:4] == [
        "queued, 2 before it, about 9 s (0 %)",
        "drawing with glyph (10 %)",
        "drawing with glyph (60 %)",
        "succeeded (100 %)",
    ]


def test_a_service_that_is_away_for_a_moment_is_waited_for(service: FakeService, darkroom: Darkroom) -> None:
    service.will_answer(*GET_JOB, job("running"))
    service.will_refuse(*GET_JOB, 503, "The job store cannot be reached.", "store_unavailable")
    will_draw(service, b"picture")

    assert darkroom("generate", "a swan", "--base-url", service.url).exit_code == 0


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_a_refusal_is_one_line_in_the_words_of_the_service(
    service: FakeService, darkroom: Darkroom, tmp_path: Path, status: int
) -> None:
    service.will_refuse(*POST, status, "There is no model [bold]'x'; there is glyph.")

    result = darkroom("generate", "a swan", "--model", "x", "--base-url", service.url)

    assert result.exit_code == 1
    assert result.stderr == "error: There is no model [bold]'x'; there is glyph.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_failed_says_why(service: FakeService, darkroom: Darkroom, tmp_path: Path) -> None:
    service.will_answer(*POST, job("queued"), status=202)
    error = {"code": "generation_failed", "message": "The picture could not be generated."}
    service.will_answer(*GET_JOB, job("failed", error=error))

    result = darkroom("generate", "a swan", "--base-url", service.url)

    assert result.exit_code == 1
    assert result.stderr.endswith("error: The picture could not be generated.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_somebody_cancelled_is_an_error(service: FakeService, darkroom: Darkroom) -> None:
    service.will_answer(*POST, job("queued"), status=202)
    service.will_answer(*GET_JOB, job("cancelled"))

    result = darkroom("generate", "a swan", "--base-url", service.url)

    assert result.exit_code == 1
    assert result.stderr.endswith("error: job 0123456789abcdef was cancelled\n")


def test_a_page_that_is_no_darkroom_is_said_to_be_none(service: FakeService, darkroom: Darkroom) -> None:
    service.will_answer(*POST, b"<html>Bad Gateway</html>", status=502)

    result = darkroom("generate", "a swan", "--base-url", service.url)

    assert result.exit_code == 1
    assert result.stderr == f"error: {service.url}{POST[1]} answered 502 Bad Gateway, not as Darkroom does\n"


def test_a_service_that_is_not_there_is_one_line_with_the_way_to_start_it(darkroom: Darkroom) -> None:
    result = darkroom("generate", "a swan", "--base-url", "http://127.0.0.1:1")

    assert result.exit_code == 1
    assert result.stderr.startswith("error: no service answers at http://127.0.0.1:1 ")
    assert result.stderr.endswith("start one with: darkroom up\n")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://127.0.0.1", "http://", "http://127.0.0.1:x"])
def test_an_address_that_is_none_is_an_error(darkroom: Darkroom, address: str) -> None:
    result = darkroom("generate", "a swan", "--base-url", address)

    assert result.exit_code == 1
    assert f"error: {address!r} is no address of a service" in result.stderr


@pytest.mark.parametrize(("file", "why"), [("no/swan.png", "there is no folder no"), (".", "it is a folder")])
def test_a_file_that_cannot_be_written_is_found_before_anything_is_drawn(
    service: FakeService, darkroom: Darkroom, file: str, why: str
) -> None:
    result = darkroom("generate", "a swan", "-o", file, "--base-url", service.url)

    assert result.exit_code == 1
    assert why in result.stderr
    assert service.asked == []


def test_a_prompt_that_is_not_utf8_is_one_line(service: FakeService, darkroom: Darkroom) -> None:
    result = darkroom("generate", "a swan \udcff", "--base-url", service.url)

    assert (result.exit_code, result.stderr) == (1, "error: prompt is not valid UTF-8\n")


def test_ctrl_c_cancels_the_job(service: FakeService, tmp_path: Path) -> None:
    service.will_answer(*POST, job("queued"), status=202)
    service.will_answer(*GET_JOB, job("running"))
    service.will_answer("DELETE", GET_JOB[1], job("cancelled"))
    command = [sys.executable, "-m", "cli", "generate", "a swan", "--base-url", service.url]
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}

    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: len(service.asked) >= 2, what="the job being followed")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)

    assert process.returncode == 130
    assert service.asked[-1].method == "DELETE"
    assert said.endswith("cancelled job 0123456789abcdef\n")
    assert list(tmp_path.iterdir()) == []
