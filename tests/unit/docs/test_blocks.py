"""Every command in the documents is run by something, or says why not."""

import pytest

from shared.settings import REPO_ROOT
from tests.unit.docs.blocks import COMMANDS, NEVER_RUN, RUNNABLE, Block, all_blocks

BLOCKS = all_blocks()
HOW = (
    "make docs-test runs blocks of sh, python and js on a service of its own. Where it cannot, put a comment"
    " into the line above the block: <!-- not run: the reason --> or <!-- run by: tests/the_file.py -->"
)


def test_there_are_blocks_that_are_run() -> None:
    assert {block.language for block in BLOCKS if block.runs} >= {"sh", "python"}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.runs], ids=str)
def test_no_block_is_run_that_must_not_be(block: Block) -> None:
    assert [line for line in block.text.splitlines() if line.startswith(NEVER_RUN)] == [], HOW


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.run_by], ids=str)
def test_what_a_block_is_run_by_exists(block: Block) -> None:
    assert (REPO_ROOT / block.run_by).is_file(), HOW


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language not in RUNNABLE], ids=str)
def test_a_block_with_commands_says_that_it_has_some(block: Block) -> None:
    commands = [line for line in block.text.splitlines() if line.startswith(COMMANDS)]

    assert commands == [], f"begin it with ```sh; {HOW}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language not in RUNNABLE], ids=str)
def test_only_what_could_be_run_is_marked(block: Block) -> None:
    assert not block.not_run, HOW
    assert not block.run_by, HOW
