"""How LiteLLM's library sends pictures.

Edits what lies in a folder. Prints what each call came to, a line of JSON each.
"""

import asyncio
import base64
import json
import os
import sys
from pathlib import Path

import litellm

folder = Path(sys.argv[1])
picture, another, mask, broken = (
    folder / name for name in ("picture.png", "another.webp", "mask.png", "broken.png")
)
usual = {
    "model": "openai/gpt-image-1",
    "prompt": "red apple",
    "api_base": os.environ["OPENAI_BASE_URL"],
    "api_key": os.environ["OPENAI_API_KEY"],
    "extra_body": {"seed": 5},
}


def tell(**what: object) -> None:
    """Print a line."""
    print(json.dumps(what))  # noqa: T201 -- it is read by the test


def keep(name: str, answer: object) -> None:
    """Write the picture of an answer to a file."""
    (folder / f"{name}.png").write_bytes(base64.b64decode(answer.data[0].b64_json))
    usage = answer.model_dump()["usage"]
    tell(name=name, image_tokens=usage["input_tokens_details"]["image_tokens"])


with picture.open("rb") as file:
    keep("file", litellm.image_edit(image=file, **usual))
with picture.open("rb") as file, mask.open("rb") as hole:
    keep("masked", litellm.image_edit(image=[file], mask=hole, **usual))
with picture.open("rb") as file:
    both = [file, another.read_bytes()]
    keep("two", litellm.image_edit(image=both, **{**usual, "model": "openai/looks"}))
# A name of the years of DALL·E goes by a way of its own.
keep("old", litellm.image_edit(image=picture.read_bytes(), **{**usual, "model": "openai/dall-e-2"}))
keep("async bytes", asyncio.run(litellm.aimage_edit(image=picture.read_bytes(), **usual)))
try:
    litellm.image_edit(image=broken.read_bytes(), **usual)
except litellm.BadRequestError as error:
    tell(name="broken", error=type(error).__name__, message=str(error))
