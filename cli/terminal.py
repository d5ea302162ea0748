"""What the commands have in common on a terminal: two consoles, and errors on one line."""

from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup
from typing_extensions import override

from cli.advice import remedy
from cli.logs import tail
from shared.errors import ConfigurationError, DarkroomError
from shared.settings import Settings

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(text: str, *, style: str = "", console: Console = out) -> None:
    """Print text as it is: no markup in it, and no line broken that could be pasted."""
    console.print(Text(text, style=style), soft_wrap=True)


def complain(message: str) -> None:
    """Print an error."""
    line = Text("error: ", style="bold red")
    err.print(line.append(message, style="default"), soft_wrap=True)


def explain(error: DarkroomError) -> None:
    """Print an error, and what to do about it."""
    complain(error.message)
    what = remedy(error.message)
    if what is not None:
        say(f"what to do: {what}", style="bold", console=err)
    say("what this machine may lack: darkroom doctor", console=err)


def announce(line: str, log: Path | None = None) -> None:
    """Tell the user what became of a part of the service; of one that died, how its log ends."""
    say(line, style="yellow", console=err)
    if log is not None:
        say(f"{shown(log)} ends:\n{tail(log, lines=5)}", style="dim", console=err)


def shown(path: Path) -> str:
    """A path as short as it can be said: relative to the current folder if it lies in it."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def read_settings() -> Settings:
    """Read the configuration.

    Raises:
        ConfigurationError: A value is wrong; the message names the variables.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"DARKROOM_{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        msg = f"the configuration is wrong: {'; '.join(wrong)}"
        raise ConfigurationError(msg) from error


class OneLineErrors(TyperGroup):
    """Commands whose deliberate errors become a message and exit code 1; a bug keeps its traceback."""

    @override
    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except DarkroomError as error:
            complain(error.message)
            raise typer.Exit(1) from error
