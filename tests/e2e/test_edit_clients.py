"""Edits by the official client, however it is given its files, and by what Open WebUI sends."""

import base64
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import openai
import pytest

from shared.params import Quality
from shared.settings import REPO_ROOT
from shared.usage import output_tokens
from tests.e2e.edits import SIZE, Sent, assert_kept_outside, write
from tests.e2e.pictures import files, opened
from tests.service import RunningService

PROMPT: Final = "red apple"
LOOKED_AT: Final = output_tokens(*SIZE, Quality.MEDIUM)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    return write(tmp_path_factory.mktemp("sent"))


@pytest.fixture(scope="module")
def client(tiny_service: RunningService) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk-test", base_url=f"{tiny_service.url}/v1") as client:
        yield client


@pytest.fixture
async def async_client(tiny_service: RunningService) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=f"{tiny_service.url}/v1") as client:
        yield client


def edit(client: openai.OpenAI, image: Any, **fields: Any) -> bytes:
    """Edit a picture, always from the same seed; return the file."""
    given = {"prompt": PROMPT, "extra_body": {"seed": 5}, **fields}
    (file,) = files(client.images.edit(image=image, **given))
    return file


@pytest.fixture(scope="module")
def usual(client: openai.OpenAI, sent: Sent) -> bytes:
    """What becomes of the picture."""
    return edit(client, sent.picture)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda path: path, id="a path"),
        pytest.param(lambda path: path.read_bytes(), id="bytes"),
        pytest.param(lambda path: io.BytesIO(path.read_bytes()), id="a file without a name"),
        pytest.param(lambda path: ("p.png", path.read_bytes(), "image/png"), id="with a type"),
        pytest.param(lambda path: ("p.png", path.read_bytes()), id="with a name"),
        pytest.param(lambda path: ("swän „1“.jpg", path.read_bytes(), "text/plain"), id="with a wrong type"),
        pytest.param(lambda path: ("p", path), id="a path with a name"),
        pytest.param(lambda path: [path], id="one in a list"),
    ],
)
def test_a_picture_is_one_however_it_is_given(
    client: openai.OpenAI, sent: Sent, usual: bytes, given: Callable[[Path], Any]
) -> None:
    assert edit(client, given(sent.picture)) == usual


def test_a_file_is_read_as_it_is(client: openai.OpenAI, sent: Sent, usual: bytes) -> None:
    with sent.picture.open("rb") as file:
        assert edit(client, file) == usual
    with sent.picture.open("rb") as file:
        assert edit(client, ("p.png", file, "application/octet-stream")) == usual


def test_the_size_is_that_of_the_picture_where_nothing_else_is_said(
    client: openai.OpenAI, sent: Sent, usual: bytes
) -> None:
    assert opened(usual).size == SIZE
    assert edit(client, sent.picture, size="auto") == usual
    assert opened(edit(client, sent.picture, size="64x64")).size == (64, 64)


def test_the_picture_is_counted(client: openai.OpenAI, sent: Sent) -> None:
    one = client.images.edit(image=sent.picture, prompt=PROMPT, n=2).usage
    two = client.images.edit(image=[sent.picture, sent.another], prompt=PROMPT, model="looks").usage

    for usage, pictures, drawn in ((one, 1, 2), (two, 2, 1)):
        assert usage is not None
        assert usage.input_tokens_details.image_tokens == pictures * LOOKED_AT
        assert usage.input_tokens == pictures * LOOKED_AT + usage.input_tokens_details.text_tokens
        assert usage.output_tokens == drawn * LOOKED_AT
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens


@pytest.mark.parametrize("model", ["tiny", "looks"])
def test_what_is_outside_of_the_mask_is_kept(client: openai.OpenAI, sent: Sent, model: str) -> None:
    with sent.picture.open("rb") as picture, sent.mask.open("rb") as mask:
        edited = edit(client, picture, mask=mask, model=model)

    assert_kept_outside(edited, sent.picture.read_bytes())


def test_of_several_pictures_each_is_looked_at(client: openai.OpenAI, sent: Sent) -> None:
    another = ("another", sent.another.read_bytes())

    def edited(*images: Any) -> bytes:
        return edit(client, list(images), model="looks")

    assert opened(edited(sent.picture, another)).size == SIZE
    assert edited(sent.picture, another) != edited(sent.picture)
    assert edited(sent.picture, another) != edited(sent.picture, sent.picture)
    assert edited(sent.picture, another) != edited(another, another)


def test_every_documented_field_at_once(client: openai.OpenAI, sent: Sent) -> None:
    response = client.images.edit(
        image=sent.picture,
        mask=sent.mask,
        prompt=PROMPT,
        background="opaque",
        input_fidelity="high",
        model="tiny",
        n=2,
        output_compression=80,
        output_format="webp",
        quality="low",
        response_format="b64_json",
        size="128x96",
        user="anna",
        extra_body={"moderation": "low"},  # sent by later versions as a field
    )

    images = [opened(file) for file in files(response)]
    assert [(image.format, image.size, image.mode) for image in images] == [("WEBP", (128, 96), "RGB")] * 2


def test_every_optional_field_may_be_null(client: openai.OpenAI, sent: Sent, usual: bytes) -> None:
    nothing = dict.fromkeys(
        (
            "background",
            "input_fidelity",
            "model",
            "n",
            "output_compression",
            "output_format",
            "quality",
            "response_format",
            "size",
        )
    )

    assert edit(client, sent.picture, **nothing) == usual


def test_more_is_drawn_anew_at_low_fidelity(client: openai.OpenAI, sent: Sent, usual: bytes) -> None:
    assert edit(client, sent.picture, input_fidelity="low") == usual
    assert edit(client, sent.picture, input_fidelity="high") != usual
    assert edit(client, sent.picture, extra_body={"seed": 5, "strength": 0.8}) == usual


def assert_streamed(events: list[Any], picture: Path) -> None:
    """There were previews, and then the picture, kept outside of the mask."""
    *partials, completed = events
    # A preview that comes later than its picture is left out.
    assert [event.partial_image_index for event in partials] == [0, 1][: len(partials)] != []
    assert {event.type for event in partials} == {"image_edit.partial_image"}
    assert completed.type == "image_edit.completed"
    assert completed.usage.input_tokens_details.image_tokens > 0
    shown = [base64.b64decode(event.b64_json) for event in events]
    assert {opened(file).size for file in shown} == {SIZE}
    assert_kept_outside(shown[-1], picture.read_bytes())


def test_previews_on_the_way(client: openai.OpenAI, sent: Sent) -> None:
    with client.images.edit(
        image=sent.picture, mask=sent.mask, prompt=PROMPT, model="looks", stream=True, partial_images=2
    ) as stream:
        assert_streamed(list(stream), sent.picture)


@pytest.mark.parametrize("field", ["image", "mask"])
def test_a_file_that_is_no_picture_is_an_error_of_the_clients_own(
    client: openai.OpenAI, sent: Sent, field: str
) -> None:
    given = {"image": sent.picture, field: sent.broken}

    with pytest.raises(openai.BadRequestError, match=f"The {field} .*not whole") as caught:
        client.images.edit(prompt=PROMPT, **given)

    assert (caught.value.code, caught.value.param) == ("invalid_image", field)
    assert caught.value.type == "invalid_request_error"


def test_what_is_not_done_is_an_error_of_the_clients_own(client: openai.OpenAI, sent: Sent) -> None:
    with pytest.raises(openai.BadRequestError, match="mask") as marked:
        client.images.edit(image=sent.picture, prompt=PROMPT, markup=sent.mask)
    with pytest.raises(openai.BadRequestError, match="looks") as several:
        client.images.edit(image=[sent.picture, sent.another], prompt=PROMPT, model="tiny")

    assert (marked.value.code, marked.value.param) == ("unsupported_parameter", "markup")
    assert (several.value.code, several.value.param) == ("unsupported_value", "image")


async def test_the_async_client_edits(async_client: openai.AsyncOpenAI, sent: Sent, usual: bytes) -> None:
    async def edited(image: Any, **fields: Any) -> bytes:
        given = {"prompt": PROMPT, "extra_body": {"seed": 5}, **fields}
        (file,) = files(await async_client.images.edit(image=image, **given))
        return file

    with sent.picture.open("rb") as file:
        given = (sent.picture, file, sent.picture.read_bytes(), ("p", sent.picture, "image/png"))
        assert {await edited(each) for each in given} == {usual}
    assert_kept_outside(await edited(sent.picture, mask=sent.mask), sent.picture.read_bytes())
    both = await edited([sent.picture, sent.another], model="looks")
    assert both != await edited(sent.picture, model="looks")


async def test_the_async_client_gets_previews(async_client: openai.AsyncOpenAI, sent: Sent) -> None:
    stream = await async_client.images.edit(
        image=sent.picture, mask=sent.mask, prompt=PROMPT, model="looks", stream=True, partial_images=2
    )

    assert_streamed([event async for event in stream], sent.picture)


def open_webui(service: RunningService, *images: Path, one_alone: bool = False, **fields: str) -> bytes:
    """Ask as Open WebUI's engine of OpenAI does for an edit, in its source of 2026 (commit 02530d5).

    Each text is a part of a type of its own; in a chat, pictures are `image[]` even where there is one.
    """
    text = "text/plain; charset=utf-8"
    given = {"model": "tiny", "prompt": PROMPT, "response_format": "b64_json", **fields}
    parts: list[tuple[str, Any]] = [(name, (None, value, text)) for name, value in given.items()]
    name = "image" if one_alone else "image[]"
    for number, image in enumerate(images):
        kind = image.suffix.removeprefix(".")
        parts.append((name, (f"0b5e1c{number}{image.suffix}", image.read_bytes(), f"image/{kind}")))
    answer = httpx2.post(
        f"{service.url}/v1/images/edits",
        files=parts,
        headers={"Authorization": "Bearer none"},
        timeout=30,
        trust_env=False,
    )
    (picture,) = answer.raise_for_status().json()["data"]
    assert not picture.get("url")
    return base64.b64decode(picture["b64_json"])


def test_what_open_webui_sends(tiny_service: RunningService, sent: Sent) -> None:
    in_a_chat = open_webui(tiny_service, sent.picture, model="")
    by_its_tool = open_webui(
        tiny_service, sent.picture, one_alone=True, n="1", size="64x64", background="opaque"
    )
    on_the_last_result = open_webui(tiny_service, sent.picture, sent.another, model="looks")

    assert [opened(file).size for file in (in_a_chat, by_its_tool, on_the_last_result)] == [
        SIZE,
        (64, 64),
        SIZE,
    ]


def test_the_command_line(tiny_service: RunningService, sent: Sent, usual: bytes, tmp_path: Path) -> None:
    asked = ("edit", sent.picture, "red apple", "--seed", "5", "--base-url", tiny_service.url)
    for more in (("-o", "all.png"), ("-o", "masked.png", "--mask", sent.mask)):
        subprocess.run(
            [sys.executable, "-m", "cli", *asked, *more],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPO_ROOT)},
            check=True,
            capture_output=True,
        )

    assert (tmp_path / "all.png").read_bytes() == usual
    assert_kept_outside((tmp_path / "masked.png").read_bytes(), sent.picture.read_bytes())
