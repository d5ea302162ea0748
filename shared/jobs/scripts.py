"""The scripts that change a job: one Lua file an operation, called by the names in its header.

A script's header is its signature. It is read here, so that a call that names an argument the script does not
have, or leaves one out, is an error before anything is sent.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final, Protocol

from shared.errors import (
    BatchEnded,
    BatchNotFound,
    DarkroomError,
    FileInUse,
    FileNotFound,
    IdempotencyMismatch,
    InputsFull,
    InputsLost,
    JobNotFound,
    LeaseLost,
    NoWorker,
    QueueFull,
    ResultsFull,
    TooManyBatches,
    TooManyFiles,
    TooManyJobs,
    WaitTooLong,
)

LUA_DIR: Final = Path(__file__).parent / "lua"

Argument = str | bytes | int | float


class DraftIncomplete(DarkroomError):
    """The attempt's draft does not hold every image."""

    code = "draft_incomplete"
    retryable = True


class ObjectsDue(DarkroomError):
    """The attempt took so long that its pictures may have been deleted from the store of results."""

    code = "objects_due"
    retryable = True


ERRORS: Final[Mapping[int, type[DarkroomError]]] = {
    -1: JobNotFound,
    -2: LeaseLost,
    -3: TooManyJobs,
    -4: QueueFull,
    -5: NoWorker,
    -6: IdempotencyMismatch,
    -7: DraftIncomplete,
    -8: WaitTooLong,
    -9: ResultsFull,
    -10: InputsLost,
    -11: InputsFull,
    -12: ObjectsDue,
    -20: FileNotFound,
    -21: TooManyFiles,
    -22: FileInUse,
    -23: BatchNotFound,
    -24: TooManyBatches,
    -25: BatchEnded,
}


@dataclass(frozen=True)
class Script:
    """One operation: its source with the shared prelude, and its arguments in order."""

    name: str
    source: str
    keys: tuple[str, ...]
    args: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """The name by which a server that has read it knows it."""
        return hashlib.sha1(self.source.encode()).hexdigest()  # noqa: S324 - Redis's own choice

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset((*self.keys, *self.args))

    def bind(self, prefix: str, values: Mapping[str, Argument]) -> tuple[list[Argument], list[Argument]]:
        """Put named values in the order the script expects.

        Args:
            prefix: prefix of every key.
            values: a value for each key and argument of the header but ``prefix``.

        Returns:
            The script's KEYS and ARGV.

        Raises:
            TypeError: a name is missing or unknown.
        """
        given = {"prefix": prefix, **values}
        if given.keys() != self._names:
            differing = ", ".join(sorted(given.keys() ^ self._names))
            msg = f"script {self.name}: missing or unknown arguments: {differing}"
            raise TypeError(msg)
        return [given[name] for name in self.keys], [given[name] for name in self.args]


class Runner(Protocol):
    """What redis-py's ``register_script`` returns."""

    def __call__(self, keys: list[Argument], args: list[Argument]) -> object:
        """Run the script."""


@cache
def load(name: str) -> Script:
    """Read a script, its header, and the prelude that goes in front of it."""
    text = (LUA_DIR / f"{name}.lua").read_text(encoding="utf-8")
    first, rest = text.split("\n", 1)
    prelude = (LUA_DIR / "prelude.lua").read_text(encoding="utf-8")
    keys = tuple(re.findall(r"^-- @key (\w+) ", text, re.MULTILINE))
    args = tuple(re.findall(r"^-- @arg (\w+) ", text, re.MULTILINE))
    return Script(name=name, source=f"{first}\n{prelude}\n{rest}", keys=keys, args=args)


def checked(reply: object) -> list[object]:
    """Return a script's reply without its code.

    Raises:
        DarkroomError: the one that ``ERRORS`` gives for a negative code. Behind the code may stand in how
            many milliseconds the same call is worth another try.
    """
    if not isinstance(reply, list) or not reply or not isinstance(reply[0], int):
        msg = f"a script answered {reply!r}"
        raise TypeError(msg)
    code, *rest = reply
    if code < 0:
        raise ERRORS[code](retry_after_s=math.ceil(rest[0] / 1000) if rest else None)
    return rest
