"""Models of published shapes with random weights: as slow as the real ones, and nothing to download."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import init_empty_weights

from benchmarks.engine import published
from shared.catalogue import Catalogue, ModelSpec
from shared.settings import REPO_ROOT
from worker.engine.models.devices import dtype_for
from worker.engine.models.loading import LoadedModel, settled

SHAPES: Final[dict[str | None, Callable[[], Any]]] = {
    "sd-turbo": published.sd_turbo,
    "sdxl-lightning": published.sdxl,
    "flux.2-klein-4b": published.flux2_klein_4b,
    "z-image-turbo": published.z_image_turbo,
}
"""By the name of the catalogue's entry."""

CPU: Final = torch.device("cpu")

_POOL: Final = 2**20
_SPREAD: Final = 0.02


def entry(name: str | None) -> ModelSpec:
    """Return a model's entry of the catalogue, as it is for random weights.

    Raises:
        SystemExit: there is no shape for it.
    """
    if name not in SHAPES:
        message = f"there are random weights for {', '.join(map(str, SHAPES))}; not for {name!r}"
        raise SystemExit(message)
    found = Catalogue.load(REPO_ROOT / "models" / "catalog.toml").find(str(name))
    if found is None:
        message = f"the catalogue has no {name!r}"
        raise SystemExit(message)
    return found.model_copy(update={"variant": None, "revision": None, "components": {}})


def build(spec: ModelSpec, device: torch.device) -> LoadedModel:
    """Make a model with random weights on the device itself: no file is written or read."""
    return settled(spec, _filled(spec, device, dtype_for(spec, device)), device)


def write(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Write a model with random weights into a folder, for whoever loads files; return its entry."""
    _filled(spec, torch.device("cpu"), getattr(torch, spec.dtype)).save_pretrained(
        folder, safe_serialization=True
    )
    return spec.model_copy(update={"weights": str(folder)})


def _filled(spec: ModelSpec, device: torch.device, dtype: torch.dtype) -> Any:  # noqa: ANN401
    pipeline = empty(spec.name)
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            fill(component, dtype, device)
    return pipeline


def empty(name: str) -> Any:  # noqa: ANN401 - diffusers is untyped
    """Return the pipeline of a shape, its parameters without memory."""
    with init_empty_weights(include_buffers=False):
        pipeline = SHAPES[name]()
    for component in pipeline.components.values():
        if hasattr(component, "tie_weights"):
            component.tie_weights()  # what holds parameters without memory has torn them apart
    return pipeline


def fill(module: torch.nn.Module, dtype: torch.dtype, device: torch.device = CPU) -> None:
    """Give every parameter memory and small random values, from one pool: drawing billions takes minutes.

    Norms are left at one and biases at zero, so that what comes out is finite.
    """
    pool = torch.randn(_POOL, generator=torch.Generator().manual_seed(0)).mul_(_SPREAD).to(device, dtype)
    given: dict[int, torch.nn.Parameter] = {}
    for owner in module.modules():
        for name, parameter in list(owner.named_parameters(recurse=False)):
            if id(parameter) not in given:  # tied weights stay tied
                given[id(parameter)] = torch.nn.Parameter(_values(name, parameter, pool), requires_grad=False)
            setattr(owner, name, given[id(parameter)])
    module.to(device, dtype)
    module.eval()


def _values(name: str, like: torch.Tensor, pool: torch.Tensor) -> torch.Tensor:
    if like.dim() == 1:
        return torch.full(like.shape, float(name == "weight"), dtype=pool.dtype, device=pool.device)
    repeats = -(-like.numel() // pool.numel())
    return pool.repeat(repeats)[: like.numel()].view(like.shape).clone()
