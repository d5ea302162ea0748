"""Writes docs/first-five-minutes.md: the first commands of a newcomer, run for it, and what they said.

Run it on a machine that has nothing of this project yet. It clones the given repository into an empty folder,
types what the page shows, and writes the page. It needs git, make, curl and Python, and no package:

    python3 docs/transcript.py --repository ADDRESS --output docs/first-five-minutes.md
"""

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLONE = "git clone REPOSITORY darkroom && cd darkroom"
UP = "make up"
CURL = (
    "curl -s http://127.0.0.1:8000/v1/images/generations -H 'Content-Type: application/json' \\\n"
    '  -d \'{"prompt": "Black Swan", "size": "1024x1024"}\' \\\n'
    "  | python3 -c 'import base64, json, sys; "
    'sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["data"][0]["b64_json"]))\' \\\n'
    "  > swan.png"
)
READY = "Ctrl-C stops everything."
START_S = 180.0
MOST_S = 900.0
INSIDE = "darkroom"


@dataclass(frozen=True)
class Step:
    """A part of the page: a heading, what is said, what is typed."""

    heading: str
    words: str
    commands: tuple[str, ...]


BEFORE = (
    Step(
        "A clone",
        "All that the machine has is git, make, curl and Python with venv.",
        (CLONE,),
    ),
    Step(
        "A picture",
        "The first time, this installs what the service needs into `.venv`. Then it starts everything, draws "
        "the documented example and stops everything. A terminal shows a bar while it is drawn, and then the "
        "picture; here the output goes into a file, so there are lines instead.",
        ("make demo", "ls -l black-swan.png"),
    ),
    Step("The second time", "Nothing is left to install.", ("make demo",)),
)
SERVICE = Step("The service", "In the foreground, until Ctrl-C.", (UP,))
WHILE_UP = (
    Step(
        "The documented request",
        "In another terminal.",
        (CURL, "ls -l swan.png"),
    ),
    Step(
        "From the command line",
        "Every option of the request is one of `generate`; the picture of the same seed is the same.",
        (
            '.venv/bin/darkroom generate "a red apple" --seed 7 --quality low -o apple.png',
            ".venv/bin/darkroom jobs",
            ".venv/bin/darkroom models",
        ),
    ),
)
AFTER = (
    Step(
        "What the machine lacks",
        "Nothing here but a GPU.",
        (".venv/bin/darkroom doctor",),
    ),
)
STEPS = (*BEFORE, SERVICE, *WHILE_UP, *AFTER)


class Newcomer:
    """Types commands into a shell and keeps what they say.

    Args:
        folder: An empty folder.
        repository: What is cloned.
    """

    def __init__(self, folder: Path, repository: str) -> None:
        self._folder = folder
        self._repository = repository
        self._environment = {**os.environ, "TERM": "dumb", "COLUMNS": "110"}
        self._service: subprocess.Popen[str] | None = None
        self._said = folder / "up.log"

    def type(self, command: str) -> str:
        """Run a command to its end; return what it said, and in how many seconds."""
        began_at = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", command.replace("REPOSITORY", self._repository)],
            cwd=self._where(),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MOST_S,
            check=False,
        )
        status = f", exit status {done.returncode}" if done.returncode else ""
        return f"{self._cleaned(done.stdout)}\n[{time.monotonic() - began_at:.1f} s{status}]".lstrip()

    def start(self, command: str) -> str:
        """Start the service; return what it said until it was ready."""
        with self._said.open("w") as said:
            self._service = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._where(),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        give_up_at = time.monotonic() + START_S
        while READY not in self._said.read_text():
            if self._service.poll() is not None or time.monotonic() > give_up_at:
                sys.exit(f"the service did not start:\n{self._said.read_text()}")
            time.sleep(0.2)
        return self._cleaned(self._said.read_text())

    def stop(self) -> str:
        """Press Ctrl-C; return what was said from then on."""
        before = len(self._said.read_text())
        if self._service is not None:
            os.killpg(self._service.pid, signal.SIGINT)
            self._service.wait(60)
        return self._cleaned(f"^C{self._said.read_text()[before:]}")

    def _where(self) -> Path:
        inside = self._folder / INSIDE
        return inside if inside.is_dir() else self._folder

    def _cleaned(self, text: str) -> str:
        """What was said, without the places of this machine."""
        text = text.replace(str(self._folder), "~").replace(self._repository, "REPOSITORY")
        text = text.replace(str(Path.home()), "~")
        return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).strip()


def machine() -> str:
    """This machine in a line."""
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    memory = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0]) / 1024**2
    name = release["PRETTY_NAME"].strip('"')
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, Python {platform.python_version()}"


def block(typed: str, said: str) -> list[str]:
    """A block of the page: a command and what it said."""
    return [
        "```console",
        *(f"{'$' if i == 0 else '>'} {line}" for i, line in enumerate(typed.splitlines())),
        said,
        "```",
        "",
    ]


def page(newcomer: Newcomer, note: str) -> Iterator[str]:
    """Yield the lines of the page, typing as it goes."""
    yield from ("# The first five minutes", "")
    yield from (
        f"Written by `docs/transcript.py`, which typed all of this. The machine: {machine()}. {note}".strip(),
        "",
    )
    for step in BEFORE:
        yield from (f"## {step.heading}", "", step.words, "")
        for command in step.commands:
            yield from block(command, newcomer.type(command))
    yield from (f"## {SERVICE.heading}", "", SERVICE.words, "")
    yield from block(UP, newcomer.start(UP))
    for step in WHILE_UP:
        yield from (f"## {step.heading}", "", step.words, "")
        for command in step.commands:
            yield from block(command, newcomer.type(command))
    stopped = newcomer.stop()
    for step in AFTER:
        yield from (f"## {step.heading}", "", step.words, "")
        for command in step.commands:
            yield from block(command, newcomer.type(command))
    yield from ("## The end", "", "Ctrl-C where `make up` runs:", "", "```console", stopped, "```")


def main() -> None:
    """Type, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--note", default="", help="what the reader must know of the machine")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = list(page(Newcomer(Path(folder), arguments.repository), arguments.note))
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
