"""How the official client for Python sends pictures, whatever its version, and whatever they are given as.

Edits what lies in a folder. Prints what each call came to, a line of JSON each.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import openai

folder = Path(sys.argv[1])
picture, another, mask, broken = (
    folder / name for name in ("picture.png", "another.webp", "mask.png", "broken.png")
)
usual = {"model": "gpt-image-1", "prompt": "red apple", "extra_body": {"seed": 5}}


def calls(files: ExitStack) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield a name for each call and what is asked; files stay open until it is done."""
    yield "path", {**usual, "image": picture}
    yield "bytes", {**usual, "image": picture.read_bytes()}
    yield "file", {**usual, "image": files.enter_context(picture.open("rb")), "size": "auto"}
    yield "typed", {**usual, "image": ("p.png", picture.read_bytes(), "image/png")}
    yield "listed", {**usual, "image": [files.enter_context(picture.open("rb"))]}
    yield "masked", {**usual, "image": picture, "mask": files.enter_context(mask.open("rb"))}
    yield "faithful", {**usual, "image": picture, "mask": mask.read_bytes(), "input_fidelity": "high"}
    yield "two", {**usual, "image": [picture, another.read_bytes()], "model": "looks"}
    yield "two of one", {**usual, "image": [picture, ("p", picture.read_bytes())], "model": "looks"}
    yield "broken", {**usual, "image": broken}


streamed = {**usual, "image": picture, "mask": mask, "model": "looks", "stream": True, "partial_images": 2}


def tell(**what: object) -> None:
    """Print a line."""
    print(json.dumps(what))  # noqa: T201 -- it is read by the test


def keep(name: str, answer: object) -> None:
    """Write the picture of an answer, or of an event, to a file."""
    data = answer.data[0] if hasattr(answer, "data") else answer
    (folder / f"{name}.png").write_bytes(base64.b64decode(data.b64_json))
    tell(name=name, image_tokens=answer.usage.input_tokens_details.image_tokens)


def refused(name: str, error: openai.APIStatusError) -> None:
    """Tell of an error."""
    tell(name=name, error=type(error).__name__, code=error.code, param=error.param)


def sync() -> None:
    """Make every call."""
    with openai.OpenAI() as client, ExitStack() as files:
        for name, asked in calls(files):
            try:
                keep(name, client.images.edit(**asked))
            except openai.APIStatusError as error:
                refused(name, error)
        events = list(client.images.edit(**streamed))
        tell(name="events", types=[event.type for event in events])
        keep("streamed", events[-1])


async def not_sync() -> None:
    """Make every call with the asynchronous client."""
    async with openai.AsyncOpenAI() as client:
        with ExitStack() as files:
            for name, asked in calls(files):
                try:
                    keep(f"async {name}", await client.images.edit(**asked))
                except openai.APIStatusError as error:
                    refused(f"async {name}", error)
        events = [event async for event in await client.images.edit(**streamed)]
        tell(name="async events", types=[event.type for event in events])
        keep("async streamed", events[-1])


sync()
asyncio.run(not_sync())
