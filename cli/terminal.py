"""What the commands have in common on a terminal: two consoles, and errors on one line.

Whatever is printed goes through here, since callers, services and logs may have written a part of it: no
markup is read, and nothing that a terminal would take for an order gets there (`shared.printable`). Only what
`cli.picture` makes itself goes around.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, OverflowMethod
from rich.text import Text  # noqa: TID251 -- here it is made fit to be printed
from typer.core import TyperGroup
from typing_extensions import override

from cli.advice import remedy
from cli.logs import tail
from cli.signals import StopRequested, StopSignals
from shared.errors import DarkroomError
from shared.printable import printable, printable_lines

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(text: str, *, style: str = "", console: Console = out) -> None:
    """Print text, of several lines perhaps: no markup in it, and no line broken that could be pasted."""
    console.print(words(text, style=style), soft_wrap=True)


def words(text: str, *, style: str = "", overflow: OverflowMethod | None = None) -> Text:
    """Return text for a console, which may have several lines and was perhaps written by others."""
    return Text(printable_lines(text), style=style, overflow=overflow)


def cells(*texts: str) -> tuple[Text, ...]:
    """Return the cells of a table's row, each on one line as far as it fits."""
    return tuple(Text(printable(text)) for text in texts)


def complain(message: str) -> None:
    """Print an error."""
    line = Text("error: ", style="bold red")
    err.print(line.append(words(message, style="default")), soft_wrap=True)


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


class OneLineErrors(TyperGroup):
    """Commands whose deliberate errors become a message and exit code 1; a bug keeps its traceback."""

    @override
    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except DarkroomError as error:
            complain(error.message)
            raise typer.Exit(1) from error


@contextmanager
def ending_well(line: str) -> Iterator[None]:
    """Say on Ctrl-C what became of it, and end as a shell expects of a program that a signal ended."""
    with StopSignals():
        try:
            yield
        except StopRequested as stop:
            say(line, console=err)
            raise typer.Exit(stop.exit_code) from None
