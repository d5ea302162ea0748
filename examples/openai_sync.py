"""A picture with the official client.

python openai_sync.py [FILE]
"""

import base64
import os
import sys
from pathlib import Path

from openai import OpenAI

# The client's own limit is 600 s and two retries; a retry of a call that is still drawn attaches to its job.
client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
)
response = client.images.generate(
    prompt="Black Swan",
    size="1024x1024",
    style="natural",
    output_format="webp",
    extra_body={"seed": 7},  # ours: the same seed, model and settings draw the same picture
)

file = Path(sys.argv[1] if len(sys.argv) > 1 else "black-swan.webp")
file.write_bytes(base64.b64decode(response.data[0].b64_json))
print(file, response.usage.total_tokens, "tokens")
