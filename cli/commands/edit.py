"""`darkroom edit`: a picture and a prompt become another picture."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.client import DEFAULT_URL, Client, Connection
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
from shared.errors import DarkroomError


class CannotRead(DarkroomError):
    """The file cannot be read."""

    code = "cannot_read"


def edit(  # noqa: PLR0913 -- one parameter an option, one option a documented field
    images: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="the picture to edit, and others to look at", show_default=False),
    ],
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="what is to become of it", show_default=False)
    ],
    output: Output = Path("edited.png"),
    *,
    mask: Annotated[
        Path | None, typer.Option(help="png; where it is transparent is drawn anew, the rest stays as it is")
    ] = None,
    strength: Annotated[float | None, typer.Option(help="how much is drawn anew, 0 to 1")] = None,
    input_fidelity: Annotated[str | None, typer.Option(help="how much is kept: low or high")] = None,
    model: Model = None,
    size: Annotated[str | None, typer.Option(help="auto, as the picture, or WIDTHxHEIGHT in pixels")] = None,
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
    """Edit a picture as PROMPT says and write it to a file. What is left out is for the service to choose."""
    choices = {
        "prompt": prompt,
        "strength": strength,
        "input_fidelity": input_fidelity,
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
    fields = {name: str(value) for name, value in choices.items() if value is not None}
    check_text(fields)
    _check_prompt(prompt)
    target = Target(output)
    target.check()
    pictures, hole = [_read(image) for image in images], _read(mask) if mask else None
    with Client(Connection(base_url, api_key, organization, project)) as client:
        paths = draw(client, client.edit(fields, pictures, hole), target)
    for path in paths if show else ():
        show_file(path, out)


def _check_prompt(prompt: str) -> None:
    """Refuse a prompt that is a file: somebody forgot the prompt, and the last picture was taken for it.

    Raises:
        BadParameter: it is one.
    """
    if os.path.isfile(prompt):  # noqa: PTH113 -- a text may be too long for a path, which is False here only
        msg = f"the prompt comes last, and {prompt} is a file"
        raise typer.BadParameter(msg, param_hint="PROMPT")


def _read(file: Path) -> bytes:
    """Return what is in a file.

    Raises:
        CannotRead: It is not there, or reading is not allowed.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        msg = f"cannot read {file}: {error.strerror}"
        raise CannotRead(msg) from error
