"""Everything that was measured, as JSON; written anew after each finding, so that none is lost."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from typing_extensions import override

from worker.engine.models.devices import describe


class Results:
    """Findings by name, in a file where there is one."""

    def __init__(self, file: Path | None = None, **known: Any) -> None:  # noqa: ANN401 - JSON's types
        self.found: dict[str, Any] = dict(known)
        self._file = file

    def note(self, **found: Any) -> None:  # noqa: ANN401 - JSON's types
        """Keep findings by their names."""
        self.found.update(found)
        self._write()

    def add(self, name: str, found: Any) -> None:  # noqa: ANN401 - JSON's types
        """Keep one more of several findings of a name."""
        self.found.setdefault(name, []).append(found)
        self._write()

    def part(self, name: str) -> "Results":
        """Return the findings of a part, which are kept below its name."""
        return _Part(self, name)

    def _write(self) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.found, indent=1, ensure_ascii=False)
            # Whole or as before, should the process end now.
            beside = self._file.with_suffix(".part")
            beside.write_text(text + "\n", encoding="utf-8")
            beside.replace(self._file)


class _Part(Results):
    def __init__(self, whole: Results, name: str) -> None:
        super().__init__()
        self._whole = whole
        self.found = whole.found.setdefault(name, {})

    @override
    def _write(self) -> None:
        self._whole._write()  # noqa: SLF001 - its own class


def surroundings(device: torch.device) -> dict[str, str]:
    """Return on what everything is measured."""
    libraries = {name: version(name) for name in ("torch", "diffusers", "transformers")}
    return {"device": describe(device), **libraries}


def not_reached(missed: Mapping[str, str]) -> str:
    """Return in words what was not reached."""
    if not missed:
        return "everything was reached"
    return "not reached:\n" + "\n".join(f"- {what}: {why}" for what, why in missed.items())
