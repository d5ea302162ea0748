"""The lowest versions that are allowed, as constraints."""

import runpy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.settings import REPO_ROOT

lowest: Callable[[dict[str, Any]], Iterator[str]] = runpy.run_path(str(REPO_ROOT / ".ci" / "lowest.py"))[
    "lowest"
]


def project(*dependencies: str) -> dict[str, Any]:
    return {
        "dependencies": dependencies,
        "optional-dependencies": {"torch": ["torch==2.13.0"], "tracing": []},
    }


def test_each_dependency_stands_at_its_floor_whatever_its_ceiling_and_where_it_is_for() -> None:
    found = list(
        lowest(project("kombu>=5.7,<5.8", "celery[redis]>=5.7", 'uvloop>=1; sys_platform != "win32"'))
    )

    assert found == ["kombu==5.7", "celery==5.7", 'uvloop==1; sys_platform != "win32"', "torch==2.13.0"]


@pytest.mark.parametrize("open_below", ["redis", "redis<9"])
def test_one_without_a_floor_is_named(open_below: str) -> None:
    with pytest.raises(ValueError, match=r"redis.* has no lowest version"):
        list(lowest(project(open_below)))
