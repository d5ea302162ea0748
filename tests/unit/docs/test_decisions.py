"""Decisions are numbered without a gap, listed, and short."""

import re
from pathlib import Path

import pytest

from shared.settings import REPO_ROOT
from tests.unit.docs.documents import name

FOLDER = REPO_ROOT / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
A_PAGE_OF_WORDS = 500


def title(page: Path) -> str:
    return page.read_text().splitlines()[0]


def test_the_numbers_have_no_gap() -> None:
    assert [int(page.name[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


def test_the_list_has_every_page_under_its_own_title() -> None:
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert [(f"# {number}. {words}", file) for number, words, file in listed] == [
        (title(p), p.name) for p in PAGES
    ]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_decision_has_its_parts_and_fits_a_page(page: Path) -> None:
    text = page.read_text()

    assert title(page).startswith(f"# {int(page.name[:4])}. ")
    assert text.splitlines()[2].startswith("Status: ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.split()) <= A_PAGE_OF_WORDS
