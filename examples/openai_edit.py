"""A picture edited with the official client: once all of it, once only what a mask lays open.

python openai_edit.py [FOLDER]
"""

import base64
import os
import sys
from pathlib import Path

from openai import OpenAI
from openai.types import ImagesResponse

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
)
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")


def keep(response: ImagesResponse, name: str) -> Path:
    """Write a picture into the folder."""
    file = folder / name
    file.write_bytes(base64.b64decode(response.data[0].b64_json))
    print(file)
    return file


apple = keep(client.images.generate(prompt="a red apple", background="transparent"), "apple.png")

pear = client.images.edit(
    image=apple,
    prompt="a green pear",
    extra_body={"strength": 0.9},  # ours: how much is drawn anew, 0 to 1
)
keep(pear, "pear.png")

# What is transparent in a mask is drawn anew, and the rest stays as it was, to the pixel. This picture is its
# own mask: the apple stays, and what is around it is new.
kept = client.images.edit(image=apple, mask=apple, prompt="a red apple on a table")
keep(kept, "kept-apple.png")
