"""Which adapter a pipeline gets."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from worker.engine.models.loading import LoadedModel
from worker.engine.rows.families.family import RowFamily

ADAPTERS: Final[Mapping[str, tuple[str, str]]] = {
    "ChromaPipeline": ("chroma", "Chroma"),
    "FluxPipeline": ("flux", "Flux"),
    "Flux2KleinPipeline": ("flux2_klein", "Flux2Klein"),
    "LongCatImagePipeline": ("longcat_image", "LongCatImage"),
    "QwenImagePipeline": ("qwen_image", "QwenImage"),
    "StableDiffusionPipeline": ("stable_diffusion", "StableDiffusion"),
    "StableDiffusion3Pipeline": ("stable_diffusion_3", "StableDiffusion3"),
    "StableDiffusionXLPipeline": ("stable_diffusion_xl", "StableDiffusionXL"),
    "ZImagePipeline": ("z_image", "ZImage"),
}
"""Module and class by the pipeline's class; the names are those of ``shared.catalogue.families``."""


def adapt(model: LoadedModel) -> RowFamily | None:
    """Return the model's adapter, or nothing where its pipeline can only be run whole."""
    if model.spec.family not in ADAPTERS:
        return None
    # Only now, when loading a model has silenced the libraries: some of them warn when they are imported.
    module, name = ADAPTERS[model.spec.family]
    adapter: type[RowFamily] = getattr(import_module(f"worker.engine.rows.families.{module}"), name)
    return adapter(model) if adapter.handles(model) else None
