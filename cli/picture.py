"""Shows a picture in the terminal: its pixels where the terminal takes them, coloured blocks where not.

Which terminal it is, is read from the environment. Asking the terminal would be surer, but its answer comes
in by the keyboard, in the midst of what somebody types.
"""

import base64
import io
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

MOST_COLUMNS: Final = 64
_LINES_KEPT: Final = 6  # of what was said before, so that it stays on the screen
_KITTY_CHUNK: Final = 4096  # Source: https://sw.kovidgoyal.net/kitty/graphics-protocol
_SENT_SIDE_PX: Final = 768  # a terminal over ssh gets no more than it can show
_KITTY_PROGRAMS: Final = frozenset({"ghostty", "kitty"})
_ITERM_PROGRAMS: Final = frozenset({"iTerm.app", "WezTerm"})
_CHECKER: Final = (102, 153)  # grey values behind what is transparent
_CHECKER_PX: Final = 4

Pixel = tuple[int, int, int]


class Way(StrEnum):
    """How a terminal can show a picture."""

    KITTY = "kitty"
    ITERM = "iterm"
    BLOCKS = "blocks"
    NONE = "none"


def way(console: Console, environment: Mapping[str, str]) -> Way:
    """Choose how to show a picture on a console.

    Args:
        console: Where it is shown.
        environment: The variables by which terminals say what they are.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        return Way.NONE
    inside_another = "TMUX" in environment or environment.get("TERM", "").startswith(("screen", "tmux"))
    program = environment.get("TERM_PROGRAM", "")
    if not inside_another:
        if environment.get("TERM") == "xterm-kitty" or program in _KITTY_PROGRAMS:
            return Way.KITTY
        if program in _ITERM_PROGRAMS or environment.get("LC_TERMINAL") == "iTerm2":
            return Way.ITERM
    # Blocks are nothing but their colours, so NO_COLOR means none of them.
    return Way.NONE if console.no_color or console.color_system in {None, "standard"} else Way.BLOCKS


def show(picture: Image.Image, console: Console, environment: Mapping[str, str]) -> None:
    """Show a picture below what was printed last; nothing where the console cannot."""
    columns, lines = size_in_cells(picture.size, console.width, console.height)
    match way(console, environment):
        case Way.KITTY:
            _write(console, "".join(_kitty(_png(picture), columns, lines)))
        case Way.ITERM:
            _write(console, _iterm(_png(picture), columns, lines))
        case Way.BLOCKS:
            console.print(Segments(_blocks(picture, columns, lines)), end="")
        case Way.NONE:
            return


def show_file(file: Path, console: Console) -> None:
    """Show the picture in a file; nothing where the console cannot, or the file is no picture."""
    try:
        with Image.open(file) as picture:
            show(picture, console, os.environ)
    except (OSError, SyntaxError):  # what Pillow raises for a broken file; whoever wrote it has looked at it
        return


def size_in_cells(size_px: tuple[int, int], columns: int, lines: int) -> tuple[int, int]:
    """Return how many columns and lines a picture gets, its aspect kept; a cell is twice as high as wide."""
    width_px, height_px = size_px
    most_columns = min(MOST_COLUMNS, columns)
    most_lines = max(4, lines - _LINES_KEPT)
    scale = min(most_columns / width_px, 2 * most_lines / height_px)
    return max(1, round(width_px * scale)), max(1, round(height_px * scale / 2))


def _write(console: Console, sequence: str) -> None:
    """Send the terminal what is for itself, which rich would count as text and break into lines."""
    console.file.write(f"{sequence}\n")
    console.file.flush()


def _blocks(picture: Image.Image, columns: int, lines: int) -> Iterator[Segment]:
    """Yield half blocks: the upper half of a cell is the colour of the letter, the lower that behind it."""
    small = _on_checkers(picture.resize((columns, 2 * lines), Image.Resampling.LANCZOS))
    for line in range(lines):
        for column in range(columns):
            upper, lower = (_colour(small, column, 2 * line + half) for half in (0, 1))
            yield Segment("▀", Style(color=upper, bgcolor=lower))
        yield Segment.line()


def _colour(picture: Image.Image, x: int, y: int) -> Color:
    pixel = picture.getpixel((x, y))
    if not isinstance(pixel, tuple):
        message = f"a picture of mode {picture.mode} has no colours"
        raise TypeError(message)
    red, green, blue = map(int, pixel[:3])
    return Color.from_rgb(red, green, blue)


def _on_checkers(picture: Image.Image) -> Image.Image:
    """Return the picture without transparency, on the checkerboard that stands for it."""
    picture = picture.convert("RGBA")
    dark, light = _CHECKER
    board = Image.new("RGBA", picture.size, (dark, dark, dark, 255))
    for x in range(0, picture.width, _CHECKER_PX):
        for y in range(0, picture.height, _CHECKER_PX):
            if (x + y) // _CHECKER_PX % 2:
                board.paste((light, light, light, 255), (x, y, x + _CHECKER_PX, y + _CHECKER_PX))
    return Image.alpha_composite(board, picture).convert("RGB")


def _png(picture: Image.Image) -> bytes:
    small = picture.copy()
    small.thumbnail((_SENT_SIDE_PX, _SENT_SIDE_PX))
    file = io.BytesIO()
    small.save(file, "PNG")
    return file.getvalue()


def _kitty(png: bytes, columns: int, lines: int) -> Iterator[str]:
    """Yield kitty's control sequences: transmit and show a PNG, quietly, in chunks."""
    text = base64.b64encode(png).decode()
    chunks = [text[at : at + _KITTY_CHUNK] for at in range(0, len(text), _KITTY_CHUNK)]
    for number, chunk in enumerate(chunks):
        first = f"a=T,f=100,q=2,c={columns},r={lines}," if number == 0 else ""
        more = int(number < len(chunks) - 1)
        yield f"\x1b_G{first}m={more};{chunk}\x1b\\"


def _iterm(png: bytes, columns: int, lines: int) -> str:
    """Return iTerm2's control sequence for a picture in the text. Source: https://iterm2.com/documentation-images.html."""
    text = base64.b64encode(png).decode()
    options = f"inline=1;size={len(png)};width={columns};height={lines};preserveAspectRatio=1"
    return f"\x1b]1337;File={options}:{text}\a"
