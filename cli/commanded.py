"""What the commands that draw have in common: a job is followed on the terminal, and becomes files."""

from pathlib import Path
from typing import Final

import typer

from cli.client import Client, Json
from cli.drawing import Target, follow
from cli.progress import JobProgress
from cli.terminal import err, say, shown
from shared.errors import DarkroomError, InvalidField

_FORMATS: Final = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}
_INTERRUPTED: Final = 130


def format_of(file: Path) -> str | None:
    """Return the format that the name of a file says."""
    return _FORMATS.get(file.suffix.lower())


def check_text(fields: Json) -> None:
    """Refuse what the shell handed over in another encoding than UTF-8; it cannot be sent.

    Raises:
        InvalidField: A text is not UTF-8.
    """
    for name, value in fields.items():
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            msg = f"{name} is not valid UTF-8"
            raise InvalidField(msg, param=name) from error


def draw(client: Client, job: Json, target: Target) -> list[Path]:
    """Follow a job that was accepted and write its pictures; return the files."""
    try:
        with JobProgress(err) as progress:
            for job in follow(client, job):  # noqa: B020, PLR1704 -- the same job, as it is now
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
