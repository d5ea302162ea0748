"""A picture on a real terminal: its pixels where the terminal takes them, blocks where not, else nothing."""

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cli.picture import size_in_cells
from tests.integration.cli.processes import PROGRAMS, REPO_ROOT
from tests.integration.cli.terminal import Terminal

COMMAND = (sys.executable, str(PROGRAMS / "show_picture.py"))
KITTY = re.compile(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\")
ITERM = re.compile(r"\x1b\]1337;File=([^:]*):([^\a]*)\a")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Red above, blue below, so that a cell in the middle has both."""
    path = tmp_path / "picture.png"
    image = Image.new("RGB", (20, 20), (255, 0, 0))
    image.paste((0, 0, 255), (0, 10, 20, 20))
    image.save(path)
    return path


def environment(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO_ROOT), "TERM": "xterm-256color", **variables}


def shown(picture: Path, columns: int = 80, lines: int = 24, **variables: str) -> str:
    """What a terminal of this size and these variables gets to see."""
    command = [*COMMAND, str(picture)]
    with Terminal(command, picture.parent, environment(**variables), columns, lines) as terminal:
        assert terminal.wait() == 0
        return terminal.output.replace("\r\n", "\n")


def test_a_terminal_of_16_million_colours_gets_two_pixels_a_cell(picture: Path) -> None:
    output = shown(picture, columns=30, lines=11, COLORTERM="truecolor")

    lines = output.splitlines()
    assert [line.count("▀") for line in lines] == [10] * 5 + [0]
    assert lines[0].startswith("\x1b[38;2;255;0;0;48;2;255;0;0m▀")
    assert lines[4].startswith("\x1b[38;2;0;0;255;48;2;0;0;255m▀")
    middle = re.findall(r"38;2;(\d+);0;(\d+);48;2;(\d+);0;(\d+)m", lines[2])[0]
    red_above, blue_above, red_below, blue_below = map(int, middle)
    assert red_above > blue_above + 150
    assert blue_below > red_below + 150
    assert lines[-1] == "shown"


def test_a_terminal_of_256_colours_gets_the_nearest_ones(picture: Path) -> None:
    output = shown(picture)

    assert "\x1b[38;5;" in output
    assert ";2;255;" not in output


@pytest.mark.parametrize(
    "variables",
    [{"TERM": "xterm-kitty"}, {"TERM_PROGRAM": "ghostty"}],
    ids=str,
)
def test_kitty_and_its_like_get_the_picture_itself(picture: Path, variables: dict[str, str]) -> None:
    found = KITTY.findall(shown(picture, **variables))

    first, last = found[0][0], found[-1][0]
    assert first.startswith("a=T,f=100,q=2,c=36,r=18,m=")
    assert last.endswith("m=0")
    assert all(len(payload) <= 4096 for _, payload in found)
    sent = Image.open(io.BytesIO(base64.b64decode("".join(payload for _, payload in found))))
    assert (sent.format, sent.size, sent.getpixel((3, 3))) == ("PNG", (20, 20), (255, 0, 0))


@pytest.mark.parametrize("variables", [{"TERM_PROGRAM": "iTerm.app"}, {"LC_TERMINAL": "iTerm2"}], ids=str)
def test_iterm_gets_the_picture_itself(picture: Path, variables: dict[str, str]) -> None:
    ((options, payload),) = ITERM.findall(shown(picture, **variables))

    png = base64.b64decode(payload)
    assert options == f"inline=1;size={len(png)};width=36;height=18;preserveAspectRatio=1"
    assert Image.open(io.BytesIO(png)).size == (20, 20)


def test_inside_of_tmux_the_picture_is_made_of_blocks(picture: Path) -> None:
    output = shown(picture, TERM="tmux-256color", TMUX="a socket,1,0", TERM_PROGRAM="iTerm.app")

    assert "▀" in output
    assert not ITERM.search(output)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_where_there_are_no_colours_nothing_is_shown(picture: Path, variables: dict[str, str]) -> None:
    assert shown(picture, **variables) == "shown\n"


def test_what_is_no_terminal_gets_nothing(picture: Path) -> None:
    result = subprocess.run(
        [*COMMAND, str(picture)],
        env=environment(COLORTERM="truecolor", TERM="xterm-kitty"),
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout == "shown\n"


def test_a_large_picture_is_made_smaller_before_it_is_sent(tmp_path: Path) -> None:
    Image.effect_noise((2000, 1000), 50).save(tmp_path / "picture.png")

    found = KITTY.findall(shown(tmp_path / "picture.png", TERM="xterm-kitty"))

    sent = Image.open(io.BytesIO(base64.b64decode("".join(payload for _, payload in found))))
    assert sent.size == (768, 384)


def test_behind_what_is_transparent_there_is_a_checkerboard(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(tmp_path / "picture.png")

    output = shown(tmp_path / "picture.png", COLORTERM="truecolor")

    assert set(re.findall(r"[34]8;2;(\d+;\d+;\d+)", output)) == {"102;102;102", "153;153;153"}


@pytest.mark.parametrize(
    ("size_px", "columns", "lines", "cells"),
    [
        ((1024, 1024), 80, 24, (36, 18)),
        ((1024, 1024), 200, 100, (64, 32)),
        ((1024, 1024), 20, 50, (20, 10)),
        ((1024, 256), 80, 24, (64, 8)),
        ((256, 1024), 80, 24, (9, 18)),
        ((4096, 8), 80, 24, (64, 1)),
        ((1024, 1024), 80, 5, (8, 4)),
    ],
)
def test_a_picture_keeps_its_aspect_and_leaves_room(
    size_px: tuple[int, int], columns: int, lines: int, cells: tuple[int, int]
) -> None:
    assert size_in_cells(size_px, columns, lines) == cells
