"""`darkroom edit`: a picture and a prompt become another picture."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.client import DEFAULT_URL, Client, Connection
from cli.commanded import check_text, draw, format_of
from cli.drawing import Target
from cli.options import ApiKey, BaseUrl, Organization, Project
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
    output: Annotated[
        Path, typer.Option("--output", "-o", help="file to write; several pictures become FILE-1, FILE-2 …")
    ] = Path("edited.png"),
    *,
    mask: Annotated[
        Path | None, typer.Option(help="png; where it is transparent is drawn anew, the rest stays as it is")
    ] = None,
    strength: Annotated[float | None, typer.Option(help="how much is drawn anew, 0 to 1")] = None,
    input_fidelity: Annotated[str | None, typer.Option(help="how much is kept: low or high")] = None,
    model: Annotated[str | None, typer.Option(help="name or alias of a model, or random")] = None,
    size: Annotated[str | None, typer.Option(help="auto, as the picture, or WIDTHxHEIGHT in pixels")] = None,
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
