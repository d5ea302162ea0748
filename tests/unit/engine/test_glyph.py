"""The shipped model really draws what it is asked for."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shared.catalogue import ModelSpec
from shared.params import Params
from tests.unit.engine.drawing import Recorder, Viewer, picture, pixels
from worker.engine import Edit, Engine
from worker.engine.pictures.canvas import on_white
from worker.planning import image_request

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def engine(request: pytest.FixtureRequest, glyph: tuple[ModelSpec, Path]) -> Iterator[Engine]:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    running = Engine({"glyph": glyph}, request.param, torch_threads=os.cpu_count())
    running.start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def draw(engine: Engine, glyph: tuple[ModelSpec, Path]) -> "Draw":
    return Draw(engine, glyph[0])


class Draw:
    """Draws with low quality, and remembers what it has drawn: a picture takes seconds."""

    def __init__(self, engine: Engine, spec: ModelSpec) -> None:
        self._engine = engine
        self._spec = spec
        self._drawn: dict[str, bytes] = {}

    def __call__(self, prompt: str, **choices: object) -> bytes:
        key = f"{prompt} {choices}"
        if key not in self._drawn:
            self._drawn[key] = self.anew(prompt, **choices)
        return self._drawn[key]

    def anew(self, prompt: str, edit: Edit | None = None, **choices: object) -> bytes:
        params = Params.model_validate({"prompt": prompt, "seed": 11, "quality": "low", **choices})
        request = replace(image_request(params, self._spec), edit=edit)
        return self._engine.submit(request, Recorder()).result(timeout=60).images[0]


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("blue", 2)])
def test_an_apple_has_the_asked_colour_where_it_is_opaque(draw: Draw, colour: str, channel: int) -> None:
    image = pixels(draw(f"a {colour} apple", background="transparent"))

    subject = image[image[..., 3] > 200][:, :3].astype(int)
    others = np.delete(subject, channel, axis=1).max(axis=1)
    assert image.shape == (512, 512, 4)
    assert 0.05 < len(subject) / 512**2 < 0.9
    assert (subject[:, channel] > others + 40).mean() > 0.6


def test_the_background_of_a_transparent_picture_is_transparent(draw: Draw) -> None:
    alpha = pixels(draw("a red apple", background="transparent"))[..., 3]

    corners = np.concatenate([alpha[:32, :32], alpha[:32, -32:], alpha[-32:, :32], alpha[-32:, -32:]])
    assert corners.mean() < 10


def test_the_same_seed_draws_the_same_bytes(draw: Draw) -> None:
    first = draw("a red apple", background="transparent")

    assert draw.anew("a red apple", background="transparent") == first


def test_the_style_is_seen(draw: Draw) -> None:
    vivid, natural = (
        pixels(draw("a red apple", background="transparent", style=style))[..., :3].astype(int)
        for style in ("vivid", "natural")
    )

    assert np.abs(vivid - natural).mean() > 10


def test_each_preview_is_nearer_to_the_picture(engine: Engine, glyph: tuple[ModelSpec, Path]) -> None:
    choices = {"prompt": "a red apple", "seed": 11, "quality": "low", "partial_images": 3}
    request = image_request(Params.model_validate(choices), glyph[0])
    # Of eight steps, those after which they are due are the second, the fourth and the sixth.
    viewer = Viewer(lambda step: (step - 1) // 2)

    final = pixels(engine.submit(request, viewer).result(timeout=60).images[0]).astype(float)

    previews = [pixels(file) for file in viewer.files]
    assert viewer.previews == [(0, 0), (0, 1), (0, 2)]
    assert [preview.shape for preview in previews] == [final.shape] * 3
    first, second, third = (((preview - final) ** 2).mean() for preview in previews)
    assert first > second > third > 0


# --- edits: it was taught none, and makes of pictures what it can


@pytest.fixture
def apple(draw: Draw) -> Image.Image:
    return picture(draw("a red apple", background="transparent"))


def test_what_is_drawn_anew_takes_the_new_colour_and_keeps_its_alpha(
    draw: Draw, apple: Image.Image, glyph: tuple[ModelSpec, Path]
) -> None:
    edit = Edit((apple,), None, glyph[0].strength_for(None, None))

    image = pixels(draw.anew("a blue apple", edit, background="transparent"))

    was, now = np.asarray(apple)[..., 3] > 200, image[..., 3] > 200
    subject = image[now][:, :3].astype(int)
    assert (was & now).sum() / (was | now).sum() > 0.7
    assert (subject[:, 2] > subject[:, 0] + 40).mean() > 0.4


def test_little_of_it_is_drawn_anew_by_little_strength(draw: Draw, apple: Image.Image) -> None:
    white = np.asarray(on_white(apple)).astype(int)

    little, much = (
        np.abs(pixels(draw.anew("a blue apple", Edit((apple,), None, strength))) - white).mean()
        for strength in (0.3, 1.0)
    )

    assert little < 8 < 3 * little < much


def test_what_a_mask_keeps_is_the_picture_to_the_pixel(draw: Draw, apple: Image.Image) -> None:
    mask = Image.new("L", apple.size)
    mask.paste(255, (256, 0, 512, 512))

    image = pixels(draw.anew("a blue apple", Edit((apple,), mask, 1.0), background="transparent"))

    assert np.array_equal(image[:, :256], np.asarray(apple)[:, :256])
    right = image[:, 256:][image[:, 256:, 3] > 200][:, :3].astype(int)
    assert len(right) > 5_000
    assert (right[:, 2] > right[:, 0] + 40).mean() > 0.4


def test_a_picture_longer_than_it_draws_is_edited_whole(draw: Draw, apple: Image.Image) -> None:
    wide = Image.new("RGB", (1024, 512), "white")
    wide.paste(on_white(apple), (0, 0))
    mask = Image.new("L", wide.size)
    mask.paste(255, (512, 0, 1024, 512))
    edit = Edit((wide,), mask, 1.0)

    image = pixels(draw.anew("a blue apple", edit, width=1024, height=512)).astype(int)

    assert np.array_equal(image[:, :512], np.asarray(wide)[:, :512])
    blue = image[:, 512:, 2] > image[:, 512:, 0] + 40
    assert blue.mean() > 0.1
