"""The commands and programs in the documents, and what their authors say of running them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.unit.docs.documents import documents, name

RUNNABLE: Final = ("sh", "python", "js")
# What a block without one of these languages must not begin a line with: a command is marked as one.
# Where such a command would change the machine, or needs what is not there, the block is not run unseen.
NEVER_RUN: Final = ("make ", "docker ", "pip ", "npm ", "helm ", "kubectl ", "apt ", "apt-get ", "sudo ")
COMMANDS: Final = ("darkroom ", ".venv/bin/", "curl ", "python ", *NEVER_RUN)
_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<mark>not run|run by): (?P<said>[^>]+?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# An anchor in a history, not a thing to do.
_HISTORY: Final = ("CHANGELOG.md",)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Attributes:
        not_run: why nothing runs it; empty where something does.
        run_by: the file of the tests that run the same; empty where ``make docs-test`` runs the block itself.
    """

    document: Path
    line: int
    language: str
    text: str
    not_run: str = ""
    run_by: str = ""

    def __str__(self) -> str:
        return f"{name(self.document)}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether ``make docs-test`` runs it."""
        return self.language in RUNNABLE and not self.not_run and not self.run_by


def blocks_of(document: Path) -> list[Block]:
    """Return the fenced blocks of a document, in their order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            document,
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            text=match["text"],
            not_run=match["said"] if match["mark"] == "not run" else "",
            run_by=match["said"] if match["mark"] == "run by" else "",
        )
        for match in _BLOCK.finditer(text)
    ]


def all_blocks() -> list[Block]:
    """Return those of every document a reader is shown."""
    return [block for each in documents() if each.name not in _HISTORY for block in blocks_of(each)]
