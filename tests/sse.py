"""Reading server-sent events in tests: as they come, with everything that a client sees."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True)
class Event:
    """One event, or a comment, which has no name."""

    name: str
    data: dict[str, Any]
    id: str = ""
    comment: str = ""


def parse(lines: Iterator[str]) -> Iterator[Event]:
    """Yield events and comments."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        elif "data" in fields:
            yield Event(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id", ""))
            fields = {}
        else:
            if "" in fields:
                yield Event("", {}, comment=fields[""])
            fields = {}


class Stream:
    """An open stream: ``next`` waits for an event, passing comments over."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._events = parse(response.iter_lines())

    def __iter__(self) -> Iterator[Event]:
        return (event for event in self._events if event.name)

    def next(self, name: str = "") -> Event:
        """Return the next event, or the next of that name."""
        return next(event for event in self if not name or event.name == name)

    def comment(self) -> str:
        """Return the next comment."""
        return next(event.comment for event in self._events if not event.name)

    def rest(self) -> list[Event]:
        """Return all events until the end."""
        return list(self)


@contextmanager
def streaming(http: httpx2.Client, method: str, path: str, **more: Any) -> Iterator[Stream]:
    """Open a stream."""
    with http.stream(method, path, timeout=15, **more) as response:
        yield Stream(response)
