"""Moderation through the whole service: what is drawn is looked at before anybody sees it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import openai
import pytest

from cli.valkey import EmbeddedServer
from tests.http_caller import HttpCaller, assert_error
from tests.service import RunningService
from tests.sse import Stream
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

USER_ERROR: Final = "image_generation_user_error"


@pytest.fixture(scope="module")
def strict_service(
    valkey: EmbeddedServer, tiny_catalogue_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """A service for which every picture is too much: no picture that really is has to be drawn."""
    settings = {
        "DARKROOM_REDIS__PREFIX": "e2e-strict:",
        "DARKROOM_MODELS__CATALOGUE": str(tiny_catalogue_file),
        "DARKROOM_MODERATION__PICTURES": "on",
        "DARKROOM_MODERATION__PICTURE_THRESHOLD": "0.000000001",
    }
    with RunningService(tmp_path_factory.mktemp("strict"), valkey.url, **settings) as service:
        yield service


@pytest.fixture
def caller(strict_service: RunningService) -> Iterator[HttpCaller]:
    with HttpCaller(strict_service.url) as one:
        yield one


def test_a_held_call_gets_the_error_of_its_job(caller: HttpCaller) -> None:
    answer = caller.generate(n=2, size="64x64")

    message = assert_error(answer, 400, "moderation_blocked", kind=USER_ERROR)
    assert message == "The picture was blocked by moderation: sexual."
    job_id = answer.headers["location"].rpartition("/")[2]
    job = caller.job(job_id)
    assert (job["status"], job["error"]) == ("failed", {"code": "moderation_blocked", "message": message})
    # It is not tried again: another attempt would draw the same.
    assert job["attempt"] == 1
    assert caller.result(job_id).content == answer.content


def test_the_official_client_does_not_try_again(strict_service: RunningService) -> None:
    with (
        openai.OpenAI(api_key="key", base_url=f"{strict_service.url}/v1", max_retries=2) as client,
        pytest.raises(openai.BadRequestError) as raised,
    ):
        client.images.generate(prompt="a swan", size="64x64")  # type: ignore[arg-type]

    assert (raised.value.code, raised.value.type) == ("moderation_blocked", USER_ERROR)


def test_a_stream_shows_no_preview_of_what_is_blocked(caller: HttpCaller) -> None:
    fields = {"prompt": "a swan", "size": "64x64", "quality": "high", "stream": True, "partial_images": 3}
    with caller.http.stream("POST", "/v1/images/generations", json=fields) as answer:
        events = Stream(answer).rest()

    assert [event.data["type"] for event in events] == ["error"]
    assert events[0].data["error"]["code"] == "moderation_blocked"


def test_low_draws_what_is_only_in_a_general_category(caller: HttpCaller) -> None:
    answer = caller.generate(size="64x64", moderation="low")

    assert answer.status_code == 200


def test_the_worker_says_why_without_a_word_of_the_prompt(
    caller: HttpCaller, strict_service: RunningService
) -> None:
    answer = caller.generate(prompt="a quite secret swan", size="64x64")
    job_id = answer.headers["location"].rpartition("/")[2]

    (event,) = wait_until(
        lambda: [e for e in strict_service.worker_events("attempt.ended") if e["job_id"] == job_id]
    )
    assert event["outcome"] == "moderation_blocked"
    assert "secret" not in strict_service.worker.program.log.read_text(encoding="utf-8")
