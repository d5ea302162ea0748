"""`darkroom generate`: a prompt becomes a file."""

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.client import DEFAULT_URL, Client, Connection, Json
from cli.drawing import Target, follow
from cli.options import ApiKey, BaseUrl, Organization, Project
from cli.picture import show_file
from cli.progress import JobProgress
from cli.terminal import err, out, say, shown
from shared.errors import DarkroomError, InvalidField

_FORMATS: Final = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}
_INTERRUPTED: Final = 130


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
        "output_format": output_format or _FORMATS.get(output.suffix.lower()),
        "output_compression": output_compression,
        "moderation": moderation,
        "user": user,
        "seed": seed,
        "negative_prompt": negative_prompt,
    }
    body: Json = {"prompt": prompt, **{name: value for name, value in choices.items() if value is not None}}
    _check_text(body)
    target = Target(output)
    target.check()
    with Client(Connection(base_url, api_key, organization, project)) as client:
        paths = _draw(client, body, target)
    for path in paths if show else ():
        show_file(path, out)


def _check_text(body: Json) -> None:
    """Refuse what the shell handed over in another encoding than UTF-8; it cannot be sent as JSON.

    Raises:
        InvalidField: A text is not UTF-8.
    """
    for name, value in body.items():
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            msg = f"{name} is not valid UTF-8"
            raise InvalidField(msg, param=name) from error


def _draw(client: Client, body: Json, target: Target) -> list[Path]:
    """Draw and write; return the files."""
    job = client.submit(body)
    try:
        with JobProgress(err) as progress:
            for job in follow(client, job):  # noqa: B020 -- the same job, as it is now
                progress.show(job)
    except KeyboardInterrupt:
        _cancel(client, job)
        raise typer.Exit(_INTERRUPTED) from None
    paths = target.write(client.result(job["id"]))
    for path in paths:
        say(f"wrote {shown(path)}")
    seeds = ", ".join(map(str, job.get("seeds") or []))
    say(f"model {job['model']}, seed {seeds}", style="dim", console=err)
    for warning in job.get("warnings") or []:
        say(warning["message"], style="yellow", console=err)
    return paths


def _cancel(client: Client, job: Json) -> None:
    """Ask for the end of a job that nobody waits for any more."""
    try:
        client.cancel(job["id"])
    except DarkroomError as error:
        say(f"job {job['id']} was not cancelled: {error.message}", console=err)
    else:
        say(f"cancelled job {job['id']}", console=err)
