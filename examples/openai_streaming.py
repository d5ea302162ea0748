"""A picture and two previews of it, as they are drawn.

python openai_streaming.py [FOLDER]
"""

import base64
import os
import sys
from pathlib import Path

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
)
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

with client.images.generate(prompt="Black Swan", size="512x512", stream=True, partial_images=2) as events:
    for event in events:
        if event.type == "image_generation.partial_image":
            file = folder / f"preview-{event.partial_image_index}.png"
        else:
            file = folder / "black-swan.png"
        file.write_bytes(base64.b64decode(event.b64_json))
        print(file)
