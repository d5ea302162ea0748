"""Where the Hugging Face cache of this machine keeps a repository. Reads the disk, never the network.

Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache for the layout and the variables.
"""

import os
import re
from pathlib import Path

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def is_hub_id(weights: str) -> bool:
    """Whether this is spelled like a repository, ``organization/name``."""
    return HUB_ID.match(weights) is not None


def cache_folder() -> Path:
    """Return the folder of the cache, wherever the environment has put it."""
    if explicit := os.environ.get("HF_HUB_CACHE"):
        return Path(explicit).expanduser()
    default_home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(os.environ.get("HF_HOME", default_home)).expanduser() / "hub"


def snapshot(repository: str, revision: str | None) -> Path | None:
    """Return the folder of a downloaded revision (default ``main``), or None."""
    folder = cache_folder() / f"models--{repository.replace('/', '--')}"
    commit = revision or "main"
    reference = folder / "refs" / commit
    if reference.is_file():
        commit = reference.read_text().strip()
    found = folder / "snapshots" / commit
    return found if found.is_dir() else None
