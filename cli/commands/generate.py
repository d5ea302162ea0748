"""`darkroom generate`: a prompt becomes a file."""

from pathlib import Path
from typing import Annotated

import typer

from cli.client import DEFAULT_URL, Client, Connection, Json
from cli.commanded import check_text, draw, format_of
from cli.drawing import Target
from cli.options import (
    ApiKey,
    Background,
    BaseUrl,
    Count,
    Model,
    Moderation,
    NegativePrompt,
    Organization,
    Output,
    OutputCompression,
    OutputFormat,
    Project,
    Quality,
    Seed,
    Show,
    Style,
    User,
)
from cli.picture import show_file
from cli.terminal import out


def generate(  # noqa: PLR0913 -- one parameter an option, one option a documented field
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="what to draw", show_default=False)],
    output: Output = Path("picture.png"),
    *,
    model: Model = None,
    size: Annotated[str | None, typer.Option(help="auto or WIDTHxHEIGHT in pixels, multiples of 8")] = None,
    quality: Quality = None,
    style: Style = None,
    background: Background = None,
    n: Count = None,
    output_format: OutputFormat = None,
    output_compression: OutputCompression = None,
    moderation: Moderation = None,
    user: User = None,
    seed: Seed = None,
    negative_prompt: NegativePrompt = None,
    show: Show = True,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    organization: Organization = None,
    project: Project = None,
) -> None:
    """Draw PROMPT and write it to a file. What is left out is for the service to choose."""
    choices = {
        "model": model,
        "size": size,
        "quality": quality,
        "style": style,
        "background": background,
        "n": n,
        "output_format": output_format or format_of(output),
        "output_compression": output_compression,
        "moderation": moderation,
        "user": user,
        "seed": seed,
        "negative_prompt": negative_prompt,
        "response_format": "b64_json",  # it may not be the default
    }
    body: Json = {"prompt": prompt, **{name: value for name, value in choices.items() if value is not None}}
    check_text(body)
    target = Target(output)
    target.check()
    with Client(Connection(base_url, api_key, organization, project)) as client:
        paths = draw(client, client.submit(body), target)
    for path in paths if show else ():
        show_file(path, out)
