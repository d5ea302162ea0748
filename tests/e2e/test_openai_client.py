"""The official client, sync and async, against the real service: every field, and the errors it makes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from tests.e2e.pictures import files, opened, pixels
from tests.service import RunningService

JOBS = "/v1/images/jobs"


@pytest.fixture
def client(tiny_service: RunningService) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        api_key="sk-test", organization="org-test", project="proj-test", base_url=f"{tiny_service.url}/v1"
    ) as client:
        yield client


@pytest.fixture
async def async_client(tiny_service: RunningService) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=f"{tiny_service.url}/v1") as client:
        yield client


def draw(client: openai.OpenAI, **fields: Any) -> list[bytes]:
    """Draw small pictures; return the files."""
    return files(client.images.generate(**{"prompt": "a tiny picture", "size": "64x64", **fields}))


def test_the_documented_example(client: openai.OpenAI) -> None:
    response = client.images.generate(model="random", prompt="Black Swan", size="1024x1024")

    (file,) = files(response)
    image = opened(file)
    assert (image.format, image.size, image.mode) == ("PNG", (1024, 1024), "RGB")
    assert response.usage is not None
    assert response.usage.input_tokens_details.image_tokens == 0
    assert response.usage.input_tokens == response.usage.input_tokens_details.text_tokens > 0
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_every_documented_field_at_once(client: openai.OpenAI) -> None:
    response = client.images.generate(
        prompt="red apple",
        background="transparent",
        model="tiny",
        moderation="low",
        n=2,
        output_compression=80,
        output_format="webp",
        quality="low",
        response_format="b64_json",
        size="128x96",
        style="natural",
        user="anna",
    )

    images = [opened(file) for file in files(response)]
    assert [(image.format, image.size, image.mode) for image in images] == [("WEBP", (128, 96), "RGBA")] * 2
    assert response.usage is not None
    assert response.usage.output_tokens == 2 * 97


def test_every_optional_field_may_be_null(client: openai.OpenAI) -> None:
    (file,) = draw(
        client,
        background=None,
        model=None,
        moderation=None,
        n=None,
        output_compression=None,
        output_format=None,
        quality=None,
        response_format=None,
        style=None,
    )

    assert opened(file).format == "PNG"


@pytest.mark.parametrize(
    ("output_format", "background"),
    [
        ("png", "opaque"),
        ("webp", "opaque"),
        ("jpeg", "opaque"),
        ("png", "transparent"),
        ("webp", "transparent"),
    ],
)
def test_the_bytes_are_what_was_asked_for(client: openai.OpenAI, output_format: str, background: str) -> None:
    (file,) = draw(client, output_format=output_format, background=background)

    image = opened(file)
    assert image.format == output_format.upper()
    assert image.mode == ("RGBA" if background == "transparent" else "RGB")
    assert image.size == (64, 64)


@pytest.mark.parametrize("size", ["64x64", "72x88", "256x64", "64x256", "520x264", "auto"])
def test_a_picture_has_exactly_the_asked_size(client: openai.OpenAI, size: str) -> None:
    (file,) = draw(client, size=size)

    width, height = (512, 512) if size == "auto" else map(int, size.split("x"))
    assert opened(file).size == (width, height)


def test_a_compressed_picture_is_smaller(client: openai.OpenAI) -> None:
    def bytes_at(compression: int) -> int:
        fields = {"output_format": "jpeg", "output_compression": compression, "extra_body": {"seed": 1}}
        return len(draw(client, size="256x256", **fields)[0])

    assert bytes_at(10) < bytes_at(95)


def test_a_model_without_alpha_draws_opaque_pictures(client: openai.OpenAI) -> None:
    (file,) = draw(client, model="plain")

    assert opened(file).mode == "RGB"


def test_the_pictures_of_a_job_have_seeds_that_count_up(client: openai.OpenAI) -> None:
    together = draw(client, n=3, extra_body={"seed": 41})
    alone = [draw(client, extra_body={"seed": seed})[0] for seed in (41, 42, 43)]

    assert together == alone
    assert len(set(together)) == 3


def test_the_style_and_the_quality_change_the_picture(client: openai.OpenAI) -> None:
    def at(**fields: Any) -> bytes:
        return draw(client, extra_body={"seed": 1}, **fields)[0]

    assert at() == at(style="vivid", quality="medium")
    assert len({at(), at(style="natural"), at(quality="low"), at(quality="high")}) == 4


def test_a_negative_prompt_changes_the_picture(client: openai.OpenAI) -> None:
    plain = draw(client, extra_body={"seed": 1})
    without = draw(client, extra_body={"seed": 1, "negative_prompt": "blue apple"})

    assert pixels(plain[0]).shape == pixels(without[0]).shape
    assert plain != without


def test_the_tokens_are_the_models_own(client: openai.OpenAI) -> None:
    def tokens(prompt: str) -> int:
        usage = client.images.generate(prompt=prompt, size="64x64").usage
        assert usage is not None
        return usage.input_tokens

    assert tokens("red apple") < tokens("red apple, blue apple, black swan")


@pytest.mark.parametrize(
    ("fields", "error", "status", "code", "param"),
    [
        ({"n": 5}, openai.UnprocessableEntityError, 422, "invalid_value", "n"),
        ({"output_format": "gif"}, openai.UnprocessableEntityError, 422, "invalid_value", "output_format"),
        ({"prompt": " "}, openai.UnprocessableEntityError, 422, "invalid_value", "prompt"),
        (
            {"background": "transparent", "output_format": "jpeg"},
            openai.UnprocessableEntityError,
            422,
            "invalid_value",
            "background",
        ),
        ({"response_format": "url"}, openai.BadRequestError, 400, "unsupported_value", "response_format"),
        ({"size": "4096x4096"}, openai.BadRequestError, 400, "unsupported_value", "size"),
        ({"model": "gpt-4o"}, openai.NotFoundError, 404, "model_not_found", "model"),
    ],
    ids=str,
)
def test_an_error_becomes_the_clients_own_with_its_message(
    client: openai.OpenAI,
    fields: dict[str, Any],
    error: type[openai.APIStatusError],
    status: int,
    code: str,
    param: str,
) -> None:
    with pytest.raises(error) as caught:
        draw(client, **fields)

    assert (caught.value.status_code, caught.value.code, caught.value.param) == (status, code, param)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id
    assert param in str(caught.value) or code == "model_not_found"
    assert str(caught.value) != f"Error code: {status}"


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "looks", "plain"]
    assert client.models.retrieve("plain").owned_by == "darkroom"


def test_headers_say_which_job_and_what_was_ignored(client: openai.OpenAI) -> None:
    raw = client.images.with_raw_response.generate(prompt="swan", size="64x64", extra_body={"colour": "red"})

    assert raw.headers["x-ignored-fields"] == "colour"
    job = client.get(f"{JOBS.removeprefix('/v1')}/{raw.headers['x-job-id']}", cast_to=dict[str, Any])
    assert (job["status"], job["progress"], job["attempt"]) == ("succeeded", 100, 1)


def test_a_retry_under_one_key_is_one_job(client: openai.OpenAI, tiny_service: RunningService) -> None:
    headers = {"Idempotency-Key": "e2e"}
    before = len(tiny_service.worker_events("attempt.ended"))
    first = draw(client, extra_headers=headers)

    assert draw(client, extra_headers=headers) == first
    assert len(tiny_service.worker_events("attempt.ended")) == before + 1


async def test_the_async_client_draws(async_client: openai.AsyncOpenAI) -> None:
    response = await async_client.images.generate(prompt="red apple", size="96x64", output_format="jpeg")

    image = opened(files(response)[0])
    assert (image.format, image.size) == ("JPEG", (96, 64))


async def test_calls_at_once_each_get_their_own_picture(async_client: openai.AsyncOpenAI) -> None:
    def call(seed: int) -> Any:
        return async_client.images.generate(prompt="red apple", size="64x64", extra_body={"seed": seed})

    together = [files(response)[0] for response in await asyncio.gather(*map(call, range(8)))]
    alone = [files(await call(seed))[0] for seed in range(8)]

    assert together == alone
    assert len(set(together)) == 8


async def test_an_async_error_is_the_same(async_client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="n: "):
        await async_client.images.generate(prompt="red apple", n=9)


def test_each_file_says_which_model_drew_it_from_which_seed(client: openai.OpenAI) -> None:
    first, second = draw(client, n=2, model="tiny", extra_body={"seed": 11}, prompt="whose is it")

    texts = [opened(file).info for file in (first, second)]

    assert [text["Seed"] for text in texts] == ["11", "12"]
    assert {text["Model"] for text in texts} == {"tiny"}
    assert {text["Prompt-SHA256"] for text in texts} == {hashlib.sha256(b"whose is it").hexdigest()}
    assert not any(b"whose is it" in file for file in (first, second))
