"""Several pictures at once with the official asynchronous client.

python openai_async.py [FOLDER]
"""

import asyncio
import base64
import os
import sys
from pathlib import Path

from openai import AsyncOpenAI

PROMPTS = ("a red apple", "a blue car", "a yellow star")


async def draw(client: AsyncOpenAI, prompt: str) -> bytes:
    """Return one picture."""
    response = await client.images.generate(
        prompt=prompt, size="512x512", output_format="jpeg", quality="low"
    )
    return base64.b64decode(response.data[0].b64_json)


async def main() -> list[bytes]:
    """Ask for all of them; the service decides how many are drawn at the same time."""
    async with AsyncOpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
        max_retries=5,  # a refusal (429, 503) says when to come back, and the client waits that long
    ) as client:
        return await asyncio.gather(*(draw(client, prompt) for prompt in PROMPTS))


folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
for number, picture in enumerate(asyncio.run(main())):
    file = folder / f"picture-{number}.jpeg"
    file.write_bytes(picture)
    print(file)
