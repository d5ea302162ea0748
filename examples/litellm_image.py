"""A picture through LiteLLM, which calls the service as it calls any service with OpenAI's API.

pip install -r litellm.txt && python litellm_image.py [FILE]
"""

import base64
import os
import sys
from pathlib import Path

import litellm

response = litellm.image_generation(
    model="openai/glyph",  # openai/ names the API, the rest the model
    prompt="Black Swan",
    size="512x512",
    api_base=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
    timeout=600,
)

file = Path(sys.argv[1] if len(sys.argv) > 1 else "black-swan.png")
file.write_bytes(base64.b64decode(response.data[0].b64_json))
print(file)
