"""What the light engines say they did: the event logs of all workers, read back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """One line. ``at`` is the machine's monotonic clock, the same for every process."""

    event: str
    job: str
    token: str
    attempt: int
    pid: int
    at: float
    worker: str
    sha256: str = ""
    reason: str = ""
    prompt: str = ""


class EventLog:
    """Reads the logs in a folder, each file once up to where it was read before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offsets: dict[Path, int] = {}
        self._events: list[Event] = []

    def all(self) -> list[Event]:
        """Return every event so far, in order of time."""
        for path in sorted(self.folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._offsets[path] = self._offsets.get(path, 0) + len(whole)
            self._events += [_event(json.loads(line), path.stem) for line in whole.splitlines()]
        return sorted(self._events, key=lambda event: event.at)

    def forget(self) -> None:
        """Forget what happened so far."""
        self.all()
        self._events.clear()

    def of(self, job_id: str, kind: str | None = None) -> list[Event]:
        """Return the events of a job."""
        return [e for e in self.all() if e.job == job_id and kind in (None, e.event)]


def _event(line: dict[str, Any], worker: str) -> Event:
    return Event(worker=worker, **line)
