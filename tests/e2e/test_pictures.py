"""The shipped model in the whole service: the prompt decides what is seen, the seed which picture it is."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from tests.e2e.pictures import files, opened, pixels
from tests.service import RunningService


class Draw:
    """Draws transparent pictures in low quality, and remembers them: each takes seconds."""

    def __init__(self, client: openai.OpenAI) -> None:
        self._client = client
        self._drawn: dict[str, bytes] = {}

    def __call__(self, prompt: str, seed: int = 11, **fields: Any) -> bytes:
        key = f"{prompt} {seed} {fields}"
        if key not in self._drawn:
            self._drawn[key] = self.anew(prompt, seed, **fields)
        return self._drawn[key]

    def anew(self, prompt: str, seed: int = 11, **fields: Any) -> bytes:
        chosen = {"background": "transparent", "quality": "low", **fields}
        response = self._client.images.generate(prompt=prompt, extra_body={"seed": seed}, **chosen)
        return files(response)[0]


@pytest.fixture(scope="module")
def draw(glyph_service: RunningService) -> Iterator[Draw]:
    with openai.OpenAI(api_key="sk-test", base_url=f"{glyph_service.url}/v1") as client:
        yield Draw(client)


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), pytest.param("blue", 2, marks=pytest.mark.slow)])
def test_an_apple_has_the_asked_colour_where_it_is_opaque(draw: Draw, colour: str, channel: int) -> None:
    image = pixels(draw(f"a {colour} apple"))

    subject = image[image[..., 3] > 200][:, :3].astype(int)
    others = np.delete(subject, channel, axis=1).max(axis=1)
    assert image.shape == (512, 512, 4)
    assert 0.05 < len(subject) / 512**2 < 0.9
    assert (subject[:, channel] > others + 40).mean() > 0.6


def test_what_is_around_it_is_transparent(draw: Draw) -> None:
    alpha = pixels(draw("a red apple"))[..., 3]

    assert alpha[:32, :32].mean() < 10
    assert alpha[-32:, -32:].mean() < 10


@pytest.mark.slow
def test_the_same_seed_is_the_same_bytes(draw: Draw) -> None:
    assert draw.anew("a red apple") == draw("a red apple")


@pytest.mark.slow
def test_another_seed_is_another_picture(draw: Draw) -> None:
    first, second = (pixels(draw("a red apple", seed)).astype(int) for seed in (11, 12))

    assert np.abs(first - second).mean() > 2


@pytest.mark.slow
def test_an_opaque_picture_of_another_size_is_resampled_to_it(draw: Draw) -> None:
    image = opened(draw("a red apple", background="opaque", size="320x256", output_format="jpeg"))

    assert (image.format, image.size, image.mode) == ("JPEG", (320, 256), "RGB")
    assert np.asarray(image)[:16, :16].mean() > 225  # composed on white


def test_the_default_model_is_glyph(glyph_service: RunningService) -> None:
    (first, *_) = glyph_service.get("/v1/models")["data"]

    assert (first["id"], first["default"], first["ready"]) == ("glyph", True, True)
