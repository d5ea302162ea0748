"""The NVIDIA GPUs of this machine: what `nvidia-smi` lists, and what CUDA_VISIBLE_DEVICES leaves of it.

Torch is not asked: to import it takes seconds, and a process that keeps others running has no use for CUDA.
`nvidia-smi` comes with the driver, and its numbers are those that an operator reads. From there on a GPU is
named by its UUID: CUDA counts by speed unless told otherwise, so the same number may be another GPU there.
"""

import os
import runpy
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cli.amounts import in_bytes
from shared.errors import ConfigurationError

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_LIST: Final = (
    "nvidia-smi",
    "--query-gpu=index,uuid,name,memory.total",
    "--format=csv,noheader,nounits",
)
_TIMEOUT_S: Final = 20.0  # without its persistence daemon, the driver first wakes every GPU
_MIB: Final = 1024**2
_END: Final = "-1"  # Source: the CUDA programming guide; no device from here on


@dataclass(frozen=True)
class Card:
    """One GPU, or the part of one that CUDA_VISIBLE_DEVICES names.

    Attributes:
        label: What it is called: gpu2 for the one that `nvidia-smi` counts as 2.
        uuid: What CUDA knows it by.
        name: What its maker calls it.
        memory_bytes: All its memory; None where `nvidia-smi` does not tell.
    """

    label: str
    uuid: str
    name: str
    memory_bytes: int | None = None

    @property
    def details(self) -> str:
        """Its name and its memory, for people."""
        return self.name if self.memory_bytes is None else f"{self.name}, {in_bytes(self.memory_bytes)}"

    @property
    def words(self) -> str:
        """It, for people."""
        return f"{self.label} ({self.details})"


@dataclass(frozen=True)
class Listed:
    """All GPUs of the machine; where there is none, ``why`` may tell the reason."""

    cards: tuple[Card, ...]
    why: str = ""


def listed() -> Listed:
    """Ask `nvidia-smi`."""
    try:
        said = subprocess.run(_LIST, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError:
        return Listed((), "there is no nvidia-smi")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Listed((), f"nvidia-smi does not answer: {error}")
    lines = [line for line in (said.stdout + said.stderr).splitlines() if line.strip()]
    if said.returncode:
        return Listed((), f"nvidia-smi says: {lines[0].strip() if lines else said.returncode}")
    try:
        return Listed(tuple(map(_card, said.stdout.splitlines())))
    except ValueError:
        return Listed((), f"nvidia-smi says what cannot be read: {lines[0].strip()}")


def visible(cards: Sequence[Card], variable: str | None) -> tuple[Card, ...]:
    """Return what the variable CUDA_VISIBLE_DEVICES leaves, in its order.

    CUDA itself leaves out, without a word, everything from the first name on that it does not know.

    Args:
        cards: all GPUs of the machine.
        variable: its value; None where it is not set.

    Raises:
        ConfigurationError: It names what there is not, or one thing twice.
    """
    if variable is None:
        return tuple(cards)
    names = [name.strip() for name in variable.split(",") if name.strip()]
    if _END in names:
        names = names[: names.index(_END)]
    chosen = tuple(_named(name, cards, position) for position, name in enumerate(names))
    if len(set(chosen)) < len(chosen):
        msg = f"{VISIBLE}={variable} names a GPU twice"
        raise ConfigurationError(msg)
    return chosen


def visible_here(found: Listed) -> tuple[Card, ...]:
    """Return what the environment of this process leaves of them.

    Raises:
        ConfigurationError: See `visible`.
    """
    return visible(found.cards, os.environ.get(VISIBLE)) if found.cards else ()


def torch_is_for_cuda() -> bool:
    """Whether the torch that is installed was built for CUDA; read from its file, without importing it."""
    spec = find_spec("torch")
    version = Path(spec.origin).with_name("version.py") if spec is not None and spec.origin else None
    return version is not None and version.exists() and bool(runpy.run_path(str(version)).get("cuda"))


def told(cards: Sequence[Card]) -> str:
    """Say which GPUs there are."""
    return ", ".join(card.words for card in cards) or "none"


def _card(line: str) -> Card:
    number, uuid, rest = line.split(", ", 2)
    name, _, memory_mib = rest.rpartition(", ")
    # Where a GPU shares the memory of the machine, there is a word in brackets instead of a number.
    memory_bytes = int(memory_mib) * _MIB if memory_mib.strip().isdecimal() else None
    return Card(f"gpu{int(number)}", uuid, name, memory_bytes)


def _named(name: str, cards: Sequence[Card], position: int) -> Card:
    """Return what a name in the variable means: a number, the beginning of a UUID, a part of a GPU."""
    if name.startswith("MIG-"):
        return Card(f"mig{position}", name, f"{name}, a part of a GPU")
    if name.isdecimal():
        found = [card for card in cards if card.label == f"gpu{int(name)}"]
    else:
        found = [card for card in cards if name.startswith("GPU-") and card.uuid.startswith(name)]
    if len(found) != 1:
        msg = f"{VISIBLE} names {name}; there are {told(cards)}"
        raise ConfigurationError(msg)
    return found[0]
