"""Whether a folder really holds the weights of a diffusers pipeline.

Everything that can be seen without loading a tensor is looked at, so that a worker says at its start, in
one line, what is missing and where. Only safetensors are accepted: unpickling a downloaded file runs it.
"""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

HEADER_LENGTH_BYTES = 8
WITHOUT_WEIGHTS = {
    "Scheduler": "scheduler_config.json",
    "Tokenizer": "tokenizer_config.json",
    "TokenizerFast": "tokenizer_config.json",
    "TokenizersBackend": "tokenizer_config.json",
    "FeatureExtractor": "preprocessor_config.json",
    "ImageProcessor": "preprocessor_config.json",
    "Processor": "",
}
"""Components that are no networks, by the end of their class's name, and the file each must have."""


class BrokenWeights(Exception):
    """Something is missing or broken; the message says what and where."""


def check_pipeline(
    folder: Path, family: str, variant: str | None, replaced: frozenset[str], without: Collection[str] = ()
) -> None:
    """Check a pipeline's folder.

    Args:
        folder: a folder in the standard layout of diffusers.
        family: the pipeline class it must be.
        variant: the variant of the weight files, such as ``fp16``.
        replaced: components whose weights come from elsewhere; only their configuration must be here.
        without: components that are not loaded, and need not be here.

    Raises:
        BrokenWeights: what is missing or broken, and where.
    """
    index = _read_json(folder / "model_index.json")
    if index.get("_class_name") != family:
        found = index.get("_class_name")
        msg = f"{folder / 'model_index.json'} is of class {found!r}, the entry says {family!r}"
        raise BrokenWeights(msg)
    for component, class_name in components(index, without):
        _check_component(folder / component, class_name, variant, has_weights=component not in replaced)


def check_safetensors(file: Path) -> None:
    """Check that a safetensors file is whole: its header can be read and all the bytes it names are there.

    Raises:
        BrokenWeights: the file is missing, no safetensors file or truncated.
    """
    if not file.is_file():
        msg = f"{file} is missing"
        raise BrokenWeights(msg)
    try:
        size, header = _size_and_header(file)
    except OSError as error:
        msg = f"{file} cannot be read: {error}"
        raise BrokenWeights(msg) from error
    expected = HEADER_LENGTH_BYTES + len(header) + _data_bytes(file, header)
    if size != expected:
        msg = f"{file} is truncated: {size} bytes of {expected}"
        raise BrokenWeights(msg)


def _size_and_header(file: Path) -> tuple[int, bytes]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(HEADER_LENGTH_BYTES), "little")
        if length > size - HEADER_LENGTH_BYTES:
            msg = f"{file} is truncated or no safetensors file ({size} bytes)"
            raise BrokenWeights(msg)
        return size, stream.read(length)


def _data_bytes(file: Path, header: bytes) -> int:
    try:
        tensors = json.loads(header)
        tensors.pop("__metadata__", None)
        return max((int(tensor["data_offsets"][1]) for tensor in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        msg = f"{file} has no readable safetensors header"
        raise BrokenWeights(msg) from error


def components(index: dict[str, Any], without: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield the components of a ``model_index.json`` that are loaded, each with its class's name.

    Args:
        index: the file's content.
        without: names of components that are not loaded.
    """
    for name, value in index.items():
        there = not name.startswith("_") and isinstance(value, list) and value[1:] and value[1] is not None
        if there and name not in without:
            yield name, str(value[1])


def is_network(class_name: str) -> bool:
    """Whether a component of this class has weights."""
    return not class_name.endswith(tuple(WITHOUT_WEIGHTS))


def network_files(variant: str | None) -> Iterator[tuple[str, str]]:
    """Yield the names that a network's weights may have, the preferred one first: in one file, in shards.

    Args:
        variant: the variant of the weight files, such as ``fp16``.
    """
    dotted = f".{variant}" if variant else ""
    for stem in ("diffusion_pytorch_model", "model"):
        yield f"{stem}{dotted}.safetensors", f"{stem}.safetensors.index{dotted}.json"


def _check_component(folder: Path, class_name: str, variant: str | None, *, has_weights: bool) -> None:
    if not folder.is_dir():
        msg = f"the component folder {folder} is missing"
        raise BrokenWeights(msg)
    for ending, configuration in WITHOUT_WEIGHTS.items():
        if class_name.endswith(ending):
            if configuration:
                _read_json(folder / configuration)
            return
    _read_json(folder / "config.json")
    if has_weights:
        _check_network(folder, class_name, variant)


def _check_network(folder: Path, class_name: str, variant: str | None) -> None:
    for whole, index in network_files(variant):
        if (folder / whole).exists():
            check_safetensors(folder / whole)
            return
        if (folder / index).exists():
            _check_shards(folder / index)
            return
    wanted = " nor ".join(whole for whole, _ in network_files(variant))
    msg = f"{folder} has no weights for {class_name}: neither {wanted}"
    raise BrokenWeights(msg)


def _check_shards(index_file: Path) -> None:
    shards = _read_json(index_file).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        msg = f"{index_file} names no weight files"
        raise BrokenWeights(msg)
    for shard in sorted(set(shards.values())):
        check_safetensors(index_file.parent / shard)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        msg = f"{file} is missing"
        raise BrokenWeights(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{file} cannot be read: {error}"
        raise BrokenWeights(msg) from error
    if not isinstance(content, dict):
        msg = f"{file} is no JSON object"
        raise BrokenWeights(msg)
    return content
