"""How a process begins to serve."""

import gc
from collections.abc import Iterator

import pytest

from api.http.server import collect_seldom


@pytest.fixture
def collector() -> Iterator[None]:
    """Python's collector of cycles, as it was before."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_python_looks_for_cycles_seldom_and_not_among_what_was_there() -> None:
    usual = gc.get_threshold()

    collect_seldom()

    assert gc.get_threshold()[0] > 10 * usual[0]
    assert gc.get_freeze_count() > 1000
