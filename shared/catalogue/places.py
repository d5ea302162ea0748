"""Where the weights an entry names are on this machine: in a folder, or in the Hugging Face cache."""

from pathlib import Path

from shared.catalogue import hub
from shared.catalogue.spec import ComponentFile
from shared.catalogue.weights import BrokenWeights


class NotDownloaded(BrokenWeights):
    """The entry names a repository of the hub that is not in this machine's cache."""


def anchor(place: str, folder: Path) -> str:
    """Return a folder's absolute path, seen from the catalogue's folder; a hub id stays as it is."""
    if hub.is_hub_id(place) and not (folder / place).is_dir():
        return place
    return str((folder / place).resolve())


def locate(place: str, revision: str | None) -> Path | None:
    """Return the folder of anchored weights, or None where they are not on this machine."""
    if hub.is_hub_id(place):
        return hub.snapshot(place, revision)
    return Path(place) if Path(place).is_dir() else None


def require(place: str, revision: str | None) -> Path:
    """Return the folder of anchored weights.

    Raises:
        NotDownloaded: a hub id that is not in the cache.
        BrokenWeights: a folder that is not there.
    """
    folder = locate(place, revision)
    if folder is not None:
        return folder
    if hub.is_hub_id(place):
        which = f" at revision {revision}" if revision else ""
        msg = f"{place}{which} is not in the cache {hub.cache_folder()}"
        raise NotDownloaded(msg)
    msg = f"the weights folder {place} is missing"
    raise BrokenWeights(msg)


def component_file(replacement: ComponentFile) -> Path:
    """Return the file that replaces one component's weights.

    Raises:
        NotDownloaded: it is in a repository, or a part of one, that is not in the cache.
        BrokenWeights: it is in a folder that is not there.
    """
    file = require(replacement.weights, replacement.revision) / replacement.file
    if not file.exists() and hub.is_hub_id(replacement.weights):
        msg = f"{file} is missing"
        raise NotDownloaded(msg)
    return file
