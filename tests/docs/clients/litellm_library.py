"""What LiteLLM's library sends by itself; prints what each call came to, a line of JSON each."""

import base64
import json
import os
import sys
from pathlib import Path

import litellm

for model, more in (
    ("gpt-image-1", {}),
    ("dall-e-3", {"quality": "hd", "response_format": "b64_json"}),
    ("dall-e-2", {"n": 1, "size": "512x512"}),
):
    answer = litellm.image_generation(
        model=f"openai/{model}",
        prompt="Black Swan",
        api_base=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ["OPENAI_API_KEY"],
        **more,
    )
    Path(sys.argv[1], f"{model}.png").write_bytes(base64.b64decode(answer.data[0].b64_json))
    print(json.dumps({"model": model, "pictures": len(answer.data)}))  # noqa: T201 -- it is read by the test
