"""What the official client for Python sends by itself, whatever its version.

The names are those that programs have in them. Prints what each call came to, a line of JSON each.
"""

import base64
import json
import sys
from pathlib import Path

import openai

folder = Path(sys.argv[1])
client = openai.OpenAI()


def tell(**what: object) -> None:
    """Print a line."""
    print(json.dumps(what))  # noqa: T201 -- it is read by the test


def draw(model: str, **more: object) -> None:
    """Ask for a picture and keep it."""
    answer = client.images.generate(model=model, prompt="Black Swan", **more)
    file = folder / f"{model}.png"
    file.write_bytes(base64.b64decode(answer.data[0].b64_json))
    tell(model=model, pictures=len(answer.data), url=answer.data[0].url)


draw("gpt-image-1")
draw("dall-e-2", n=1, size="512x512")
draw("dall-e-3", quality="standard", style="natural", size="1024x1024", response_format="b64_json")
draw("dall-e-3", quality="hd", user="anna")
try:
    with (folder / "dall-e-2.png").open("rb") as picture:
        client.images.create_variation(image=picture)
except openai.APIStatusError as error:
    tell(status=error.status_code, code=error.code)
draw("gpt-image-1", quality="auto", output_format="png", background="auto", moderation="auto")
