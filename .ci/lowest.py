"""The lowest versions that pyproject.toml allows, as constraints for pip: `make lowest` installs them.

python .ci/lowest.py > lowest.txt
"""
# ruff: noqa: INP001 - a script

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

PROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"
# What runs the service; the tools of tests are whatever they are today.
_EXTRAS: Final = ("torch", "tracing")
_FLOORS: Final = (">=", "==")


def lowest(project: dict[str, Any]) -> Iterator[str]:
    """Yield each dependency at its floor.

    Raises:
        ValueError: one has no floor.
    """
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *(each for extra in _EXTRAS for each in extras[extra])]
    for requirement in map(Requirement, named):
        floors = [each.version for each in requirement.specifier if each.operator in _FLOORS]
        if len(floors) != 1:
            message = f"{requirement} has no lowest version"
            raise ValueError(message)
        marker = f"; {requirement.marker}" if requirement.marker else ""
        yield f"{requirement.name}=={floors[0]}{marker}"


def main() -> int:
    """Print them."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    sys.stdout.write("\n".join(dict.fromkeys(lowest(project))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
