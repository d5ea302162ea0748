"""Files that are there whole or not at all, whatever ends the process meanwhile."""

import json
from pathlib import Path
from typing import Any

import torch


def write_json(path: Path, content: object) -> None:
    """Write a JSON file."""
    unfinished = path.with_suffix(path.suffix + ".part")
    unfinished.write_text(json.dumps(content), encoding="utf-8")
    unfinished.replace(path)


def save(path: Path, content: Any) -> None:  # noqa: ANN401 - whatever torch can save
    """Save tensors, and dicts of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(path.suffix + ".part")
    torch.save(content, unfinished)
    unfinished.replace(path)


def load(path: Path) -> Any:  # noqa: ANN401
    """Load what was saved, onto the CPU; nothing in it is run."""
    return torch.load(path, map_location="cpu", weights_only=True)
