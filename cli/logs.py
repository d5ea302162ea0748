"""Reads what child processes write to their log files."""

import json
from pathlib import Path
from typing import Any, Final

from shared.printable import printable

_SHOWN_LEVELS: Final = frozenset({"warning", "error", "critical"})
_TAIL_BYTES: Final = 64 * 1024


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log; nothing when there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def start_afresh(log: Path) -> None:
    """Set the log of the run before aside, as `NAME.previous.log`."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))


class Follower:
    """Hands out the warnings and errors that a program has logged since the last look."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0
        self._rest = b""

    def warnings(self) -> list[str]:
        """Return the new ones, each on one line, in words."""
        return [words for line in self._new_lines() if (words := _in_words(line))]

    def _new_lines(self) -> list[bytes]:
        try:
            with self._log.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        return lines


def _in_words(line: bytes) -> str:
    """Say one JSON line of level warning or above in words; anything else is left to the log file."""
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or str(entry.get("level", "")).lower() not in _SHOWN_LEVELS:
        return ""
    details = " ".join(
        f"{name}={value}"
        for name, value in entry.items()
        if name not in {"level", "event", "timestamp", "logger", "exception"}
    )
    event = str(entry.get("event", "")).partition("\n")[0]
    return printable(f"{entry['level']}: {event} {details}".rstrip())
