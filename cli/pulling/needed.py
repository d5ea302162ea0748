"""Which files of a repository an entry needs: what diffusers would load, and nothing beside it.

Repositories carry the same weights many times over (other precisions, other frameworks, one file for other
programs), so that all of one is easily three times what is needed.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from cli.pulling.errors import PullFailed
from cli.pulling.files import RemoteFile
from shared.catalogue import ModelSpec
from shared.catalogue.weights import components, is_network, network_files

INDEX: Final = "model_index.json"
# Configurations and vocabularies. Never code: nothing that was downloaded is run.
_SMALL: Final = frozenset({".json", ".txt", ".model", ".jinja"})
_INDEX_MARK: Final = ".index."

Read = Callable[[RemoteFile], bytes]


def needed_files(spec: ModelSpec, files: Mapping[str, RemoteFile], read: Read) -> list[RemoteFile]:
    """Return the files of the entry's own repository that it needs.

    Args:
        spec: The entry.
        files: What the repository has, by path.
        read: Returns the bytes of a small file.

    Raises:
        PullFailed: The repository is not what the entry says, or has no weights that may be loaded.
    """
    index = _json(_known(files, INDEX, spec.weights), read)
    if index.get("_class_name") != spec.family:
        found = index.get("_class_name")
        msg = f"{spec.weights} is a {found}, the entry {spec.name!r} says {spec.family}"
        raise PullFailed(msg)
    needed = {INDEX}
    for name, class_name in components(index, spec.without):
        needed |= _small_files(name, files)
        if is_network(class_name) and name not in spec.components:
            needed |= set(_weights(name, spec, files, read))
    return [files[path] for path in sorted(needed)]


def replacement_file(weights: str, path: str, files: Mapping[str, RemoteFile]) -> RemoteFile:
    """Return the file that replaces a component's weights.

    Raises:
        PullFailed: The repository has no such file.
    """
    return _known(files, path, weights)


def _small_files(component: str, files: Collection[str]) -> set[str]:
    return {
        path
        for path in files
        if PurePosixPath(path).parts[0] == component
        and PurePosixPath(path).suffix in _SMALL
        and _INDEX_MARK not in path
    }


def _weights(component: str, spec: ModelSpec, files: Mapping[str, RemoteFile], read: Read) -> Iterator[str]:
    """Yield the weight files of one network: one file, or an index and its shards."""
    for whole, index in network_files(spec.variant):
        if f"{component}/{whole}" in files:
            yield f"{component}/{whole}"
            return
        if f"{component}/{index}" in files:
            yield f"{component}/{index}"
            shards = _json(files[f"{component}/{index}"], read).get("weight_map", {}).values()
            for shard in sorted(set(map(str, shards))):
                yield _known(files, f"{component}/{shard}", spec.weights).path
            return
    which = f"of the variant {spec.variant} " if spec.variant else ""
    msg = f"{spec.weights} has no weights {which}in safetensors for {component}; others are never loaded"
    raise PullFailed(msg)


def _known(files: Mapping[str, RemoteFile], path: str, repository: str) -> RemoteFile:
    file = files.get(path)
    if file is None:
        msg = f"{repository} has no file {path}"
        raise PullFailed(msg)
    return file


def _json(file: RemoteFile, read: Read) -> dict[str, Any]:
    try:
        content = json.loads(read(file))
    except ValueError as error:
        msg = f"{file.path} of the repository is no JSON: {error}"
        raise PullFailed(msg) from error
    if not isinstance(content, dict):
        msg = f"{file.path} of the repository is no JSON object"
        raise PullFailed(msg)
    return content
