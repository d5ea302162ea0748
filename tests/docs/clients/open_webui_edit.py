"""The form that Open WebUI's engine of OpenAI sends for an edit, sent by the client that sends it there.

As its source of 2026 builds it (commit 02530d5, `image_edits` of `backend/open_webui/routers/images.py`):
texts first, then pictures under names made up for them, `image[]` for those of a chat, be there one or more.
"""

import asyncio
import base64
import io
import json
import os
import sys
import uuid
from pathlib import Path

import aiohttp

folder = Path(sys.argv[1])


async def edit(field: str, *pictures: str, **texts: str) -> None:
    """Send a form, and keep the picture that comes back; print what came."""
    form = aiohttp.FormData()
    for name, text in texts.items():
        form.add_field(name, text)
    for picture in pictures:
        kind = Path(picture).suffix
        file = io.BytesIO((folder / picture).read_bytes())
        form.add_field(
            field, file, filename=f"{uuid.uuid4()}{kind}", content_type=f"image/{kind.removeprefix('.')}"
        )
    url = f"{os.environ['OPENAI_BASE_URL']}/images/edits"
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    async with aiohttp.ClientSession() as session, session.post(url, headers=headers, data=form) as answer:
        body = await answer.json(content_type=None)
    told = {"status": answer.status, "code": body.get("error", {}).get("code"), "pictures": len(pictures)}
    for picture in body.get("data", ()):
        (folder / f"edited-{len(pictures)}.png").write_bytes(base64.b64decode(picture["b64_json"]))
    print(json.dumps(told))  # noqa: T201 -- it is read by the test


async def main() -> None:
    """Edit with no model set, in a chat with a model, and what was edited before."""
    prompt = {"prompt": "red apple"}
    await edit("image[]", "picture.png", model="", **prompt, response_format="b64_json")
    await edit("image", "picture.png", model="gpt-image-1", **prompt, n="1", size="64x64", background="auto")
    both = "picture.png", "another.webp"
    await edit("image[]", *both, model="looks", **prompt, response_format="b64_json")
    await edit("image[]", *both, model="tiny", **prompt, response_format="b64_json")


asyncio.run(main())
