"""A pipeline from its folder onto the device, whatever its class."""

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

from shared.catalogue import ModelSpec
from shared.catalogue.places import component_file
from shared.catalogue.weights import components
from shared.errors import CatalogueError
from worker.engine.models.devices import dtype_for
from worker.engine.models.processors import picture_processors


@dataclass(frozen=True)
class LoadedModel:
    """A pipeline on the device and what there is to know about calling it."""

    spec: ModelSpec
    pipeline: Any
    parameters: frozenset[str]
    """Names of the arguments its call takes."""

    @cached_property
    def tokenizer(self) -> Any:  # noqa: ANN401 - tokenizers share no base class
        """A copy of the tokenizer that reads the prompt; a processor has one inside.

        The pipeline's own is used beside the ticks, and keeps how it cuts and pads while it works: two
        threads that share one get each other's length, or "Already borrowed".
        """
        component = getattr(self.pipeline, self.spec.tokenizer)
        return copy.deepcopy(getattr(component, "tokenizer", component))

    def weights_bytes(self) -> int:
        """Return what its weights take on the device."""
        modules = (part for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module))
        tensors = {
            tensor.data_ptr(): tensor.nbytes
            for module in modules
            for tensor in (*module.parameters(), *module.buffers())
        }
        return sum(tensors.values())

    def fresh_scheduler(self) -> Any:  # noqa: ANN401 - schedulers share no base class
        """Return a scheduler of its own for one image: schedulers remember the steps they took."""
        return copy.deepcopy(self.pipeline.scheduler)


Source = Path | Callable[[ModelSpec, torch.device], LoadedModel]
"""Where a model comes from: the folder of its weights, or what builds it, as benchmarks do."""


def load(spec: ModelSpec, source: Source, device: torch.device) -> LoadedModel:
    """Load a model.

    Raises:
        CatalogueError: the folder, or the entry, is wrong; the message names the entry.
    """
    _be_quiet()
    if not isinstance(source, Path):
        return source(spec, device)
    try:
        model = settled(spec, _read(spec, source, device), device)
    except Exception as error:
        msg = f"model {spec.name!r}: {source} cannot be loaded: {_first_line(error)}"
        raise CatalogueError(msg) from error
    for attribute in (spec.tokenizer, "scheduler"):
        if getattr(model.pipeline, attribute, None) is None:
            msg = f"model {spec.name!r}: its pipeline has no component {attribute!r}"
            raise CatalogueError(msg)
    return model


def settled(spec: ModelSpec, pipeline: Any, device: torch.device) -> LoadedModel:  # noqa: ANN401
    """Return a pipeline, wherever it comes from, ready to draw: with the entry's scheduler, on the device.

    Raises:
        TypeError: it is not of the entry's family.
    """
    if type(pipeline).__name__ != spec.family:
        msg = f"it is a {type(pipeline).__name__}, the entry says {spec.family}"
        raise TypeError(msg)
    if spec.scheduler is not None:
        scheduler = getattr(diffusers, spec.scheduler.name)
        pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config, **spec.scheduler.settings)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    _lay_out(pipeline)
    return LoadedModel(spec, pipeline, frozenset(inspect.signature(pipeline.__call__).parameters))


def _read(spec: ModelSpec, folder: Path, device: torch.device) -> Any:  # noqa: ANN401 - diffusers is untyped
    dtype = dtype_for(spec, device)
    # The base class does not know which components may be left out, and would load those all the same.
    pipeline_class = getattr(diffusers, spec.family, DiffusionPipeline)
    classes = DiffusionPipeline.load_config(folder, local_files_only=True)
    return pipeline_class.from_pretrained(
        folder,
        dtype=dtype,
        variant=spec.variant,
        local_files_only=True,
        use_safetensors=True,
        **picture_processors(folder, components(classes, spec.without)),
        **dict.fromkeys(spec.without),
        **_replaced_components(spec, folder, classes, dtype),
    )


def _replaced_components(
    spec: ModelSpec, folder: Path, classes: Mapping[str, Any], dtype: torch.dtype
) -> dict[str, torch.nn.Module]:
    """Build the components whose weights come from another file, with the configuration beside the rest."""
    replaced = {}
    for name, replacement in spec.components.items():
        model_class = getattr(diffusers, classes[name][1])
        config = model_class.load_config(folder / name, local_files_only=True)
        component = model_class.from_config(config)
        component.load_state_dict(load_file(component_file(replacement)))
        replaced[name] = component.to(dtype).eval()
    return replaced


def _lay_out(pipeline: Any) -> None:  # noqa: ANN401 - diffusers is untyped
    """Store convolutions channels last.

    Measured on two cores, a quarter off glyph's decoding. On a GPU it is what tensor cores work in; any
    other layout is turned into it and back at each convolution.
    """
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module) and not any(map(_is_3d, component.parameters())):
            component.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _is_3d(weight: torch.Tensor) -> bool:
    """Whether this belongs to a convolution over three dimensions, which knows no such layout."""
    return weight.dim() == 5  # noqa: PLR2004


def _be_quiet() -> None:
    """Silence the libraries: bars belong on no server, and their warnings quote prompts."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
