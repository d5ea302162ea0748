"""Nobody's private parts are ours to use: not read, not written, not overridden, outside of the bell's room.

ruff's SLF001 sees a private name that is read; it does not see a method of a subclass that replaces one, nor
an attribute of ours that hides one of the base's.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import pytest

import api
import shared
import shared.bell

OURS = ("api", "worker", "shared", "cli", "tests", "builtins", "typing", "abc", "enum", "typing_extensions")
BY_NAME = {"getattr", "setattr", "hasattr", "delattr"}
# Python's own, whose leading underscores are documented.
DOCUMENTED = {"_replace", "_asdict", "_fields", "_exit"}


def modules(package: ModuleType) -> list[str]:
    below = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [package.__name__, *(each.name for each in below)]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def read_or_written(module: ModuleType) -> Iterator[str]:
    """Private names of something that is not the object itself."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            base = node.value
            own = isinstance(base, ast.Name) and base.id in {"self", "cls"}
            if not own:
                yield f"{module.__name__}:{node.lineno} reads {ast.unparse(node)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_NAME:
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)):
                yield f"{module.__name__}:{node.lineno} {ast.unparse(node)}"


@cache
def written(cls: type) -> frozenset[str]:
    """Private names that a class's text gives to the class and its objects."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        return frozenset()
    methods = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    of_self = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    return frozenset(filter(is_private, methods | of_self))


@cache
def private_parts(cls: type) -> frozenset[str]:
    """The same of a class of somebody else, which may have been written in C."""
    return written(cls) | frozenset(filter(is_private, vars(cls)))


def overridden(module: ModuleType) -> Iterator[str]:
    for cls in vars(module).values():
        if not inspect.isclass(cls) or cls.__module__ != module.__name__:
            continue
        strangers = [base for base in cls.__mro__[1:] if base.__module__.partition(".")[0] not in OURS]
        for base in strangers:
            for name in sorted(written(cls) & private_parts(base)):
                yield f"{module.__name__}.{cls.__name__} has {name} of {base.__module__}.{base.__name__}"


HELD = sorted({*modules(api), *modules(shared)} - set(modules(shared.bell)))


@pytest.mark.parametrize("name", HELD)
def test_no_private_part_of_a_library_is_used(name: str) -> None:
    module = importlib.import_module(name)

    assert [*read_or_written(module), *overridden(module)] == []


def test_what_is_looked_for_would_be_found() -> None:
    found = [line for name in modules(shared.bell) for line in overridden(importlib.import_module(name))]

    assert any("_connparams" in line for line in found)
    assert any("_deliver" in line for line in found)
