"""The documents, and what they say, as the tests of them read it."""

import re
from functools import cache
from pathlib import Path
from typing import Final

from shared.settings import REPO_ROOT

_FOLDERS: Final = ("docs", "models", "training")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@cache
def documents() -> tuple[Path, ...]:
    """Every Markdown file that a reader is shown."""
    nested = (path for folder in _FOLDERS for path in (REPO_ROOT / folder).rglob("*.md"))
    return tuple(sorted([*REPO_ROOT.glob("*.md"), *nested]))


def name(document: Path) -> str:
    """A document's name in a test's report."""
    return document.relative_to(REPO_ROOT).as_posix()


def links(text: str) -> list[str]:
    """The targets of a document's links and pictures."""
    return _LINK.findall(_FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """What a link into a document may name."""
    titles = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def table_rows(text: str, first_head: str) -> list[list[str]]:
    """The rows of the first table whose first column has this head."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_head} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def documented_labels() -> dict[str, set[str]]:
    """The labels that docs/metrics.md gives each metric."""
    rows = table_rows((REPO_ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"), "metric")
    return {name.strip("`"): set(filter(None, labels.split(", "))) for name, labels, _ in rows}
