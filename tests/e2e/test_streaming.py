"""Streaming through the real service, with the shipped model: previews that become the picture."""

import base64
import io
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from tests.e2e.pictures import files
from tests.service import RunningService


def pixels(b64_json: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(b64_json))).convert("RGB"), dtype=np.float64)


@pytest.mark.slow
def test_each_preview_is_nearer_to_the_picture(glyph_service: RunningService) -> None:
    asked = {"prompt": "a red apple", "quality": "low", "extra_body": {"seed": 3}}
    with openai.OpenAI(api_key="key", base_url=f"{glyph_service.url}/v1", max_retries=0) as client:
        events = list(client.images.generate(**asked, stream=True, partial_images=3))
        (held,) = files(client.images.generate(**asked))

    *partials, completed = events
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_image"] * 3 + ["completed"]
    assert [event.partial_image_index for event in partials] == [0, 1, 2]
    # The previews have changed nothing: the same seed gives the same file without them.
    assert base64.b64decode(completed.b64_json) == held
    picture = pixels(completed.b64_json)
    distances = [float(((pixels(event.b64_json) - picture) ** 2).mean()) for event in partials]
    assert distances[0] > distances[1] > distances[2] > 0
    assert {Image.open(io.BytesIO(base64.b64decode(e.b64_json))).size for e in partials} == {(512, 512)}
