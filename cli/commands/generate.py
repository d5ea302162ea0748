"""`darkroom generate`: a prompt becomes a file."""

from pathlib import Path
from typing import Annotated

import typer

from cli.client import DEFAULT_URL, Client, Connection, Json
from cli.commanded import check_text, draw, format_of
from cli.drawing import Target
from cli.options import ApiKey, BaseUrl, Organization, Project
from cli.picture import show_file
from cli.terminal import out


def generate(  # noqa: PLR0913 -- one parameter an option, one option a documented field
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="what to draw", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="file to write; several pictures become FILE-1, FILE-2 …")
    ] = Path("picture.png"),
    *,
    model: Annotated[str | None, typer.Option(help="name or alias of a model, or random")] = None,
    size: Annotated[str | None, typer.Option(help="auto or WIDTHxHEIGHT in pixels, multiples of 8")] = None,
    quality: Annotated[str | None, typer.Option(help="low, medium, high or auto")] = None,
    style: Annotated[str | None, typer.Option(help="vivid or natural")] = None,
    background: Annotated[str | None, typer.Option(help="transparent, opaque or auto")] = None,
    n: Annotated[int | None, typer.Option("--n", "-n", help="how many pictures")] = None,
    output_format: Annotated[
        str | None, typer.Option(help="png, webp or jpeg; default: what the name of the file says")
    ] = None,
    output_compression: Annotated[int | None, typer.Option(help="quality of webp and jpeg, 0 to 100")] = None,
    moderation: Annotated[str | None, typer.Option(help="low or auto")] = None,
    user: Annotated[str | None, typer.Option(help="your own name for whoever asks")] = None,
    seed: Annotated[int | None, typer.Option(help="the same seed draws the same picture")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="what not to draw")] = None,
    show: Annotated[bool, typer.Option(help="show it on the terminal, where that can")] = True,
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
    }
    body: Json = {"prompt": prompt, **{name: value for name, value in choices.items() if value is not None}}
    check_text(body)
    target = Target(output)
    target.check()
    with Client(Connection(base_url, api_key, organization, project)) as client:
        paths = draw(client, client.submit(body), target)
    for path in paths if show else ():
        show_file(path, out)
