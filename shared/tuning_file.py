"""The file in which a machine keeps how its models run fastest: workers and `darkroom tune` write it.

Several processes may do so at once. Knows nothing of torch, so that whoever only reads it starts quickly.
"""

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class KeptStage(BaseModel):
    """How a stage runs: its modes in the order of their application, how many images go together, and why."""

    model_config = ConfigDict(frozen=True)

    modes: tuple[str, ...]
    images: int = Field(ge=1)
    trials: tuple[dict[str, Any], ...] = ()


class Kept(BaseModel):
    """How a model runs on a device.

    Attributes:
        model: its name in the catalogue.
        device: the name of the hardware.
        level: how far it was tuned.
        found_at: unix seconds.
        libraries: the versions with which that was found, by name.
        weights: those that it was found with (``ModelSpec.weights_version``).
    """

    model_config = ConfigDict(frozen=True)

    model: str
    device: str
    level: str
    found_at: int
    libraries: dict[str, str]
    weights: str
    text: KeptStage
    denoise: KeptStage
    decode: KeptStage


class TuningFile:
    """What was kept, by what it was found for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Kept]:
        """Return what was kept; what cannot be read, or another version wrote, is not there."""
        found = {}
        for identity, entry in self._entries().items():
            with suppress(ValidationError):
                found[identity] = Kept.model_validate(entry)
        return found

    def keep(self, identity: str, kept: Kept, *, instead_of: Iterable[str] = ()) -> None:
        """Add an entry; those that others have added meanwhile stay.

        Args:
            identity: what it was found for.
            kept: what was found.
            instead_of: identities of entries that are dropped.

        Raises:
            OSError: the file cannot be written.
        """
        with self._alone():
            dropped = set(instead_of)
            entries = {name: entry for name, entry in self._entries().items() if name not in dropped}
            entries[identity] = kept.model_dump(mode="json")
            # Whoever reads meanwhile finds the whole file of before, and a writer that dies spoils nothing.
            written = self._beside("new")
            written.write_text(json.dumps(entries, indent=2), encoding="utf-8")
            written.replace(self.path)

    def check_writable(self) -> None:
        """Look whether an entry could be added.

        Raises:
            OSError: it could not.
        """
        with self._alone():
            written = self._beside("new")
            written.touch()
            written.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other writers out; a file of its own is locked, as the file itself is replaced."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._beside("lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def _entries(self) -> dict[str, Any]:
        try:
            entries = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}


def default_tuning_file() -> Path | None:
    """Return where tunings are kept unless told otherwise; nowhere for a user without a home."""
    with suppress(RuntimeError):
        # Raised for a user whom the system does not know.
        return Path.home() / ".cache" / "darkroom" / "tuning.json"
    return None
