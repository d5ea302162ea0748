"""From the caller's choices to what the engine draws, by the model's entry in the catalogue."""

from collections.abc import Mapping

from shared.catalogue import ModelSpec
from shared.params import Params
from worker.engine import ImageRequest
from worker.inspection import Inspection


class Planner:
    """Plans what a worker draws."""

    def __init__(self, specs: Mapping[str, ModelSpec], inspection: Inspection) -> None:
        self.models = frozenset(specs)
        """The models that are served."""
        self._specs = specs
        self._inspection = inspection

    def plan(self, params: Params, model: str) -> ImageRequest:
        """Return what to draw for a job's params with a served model, and who looks at it."""
        return self._inspection.of(image_request(params, self._specs[model]), params.moderation)


def image_request(params: Params, spec: ModelSpec) -> ImageRequest:
    """Return what to draw for a job's params with this model."""
    return ImageRequest(
        model=spec.name,
        prompt=params.prompt,
        conditioning_prompt=spec.render_prompt(params.prompt, params.style, transparent=params.transparent),
        negative_prompt=params.negative_prompt,
        width=params.width,
        height=params.height,
        steps=spec.steps_for(params.quality),
        guidance=spec.guidance_for(params.style),
        seeds=params.seeds,
        transparent=params.transparent,
        output_format=params.output_format.value,
        output_compression=params.output_compression,
        partial_images=params.partial_images,
    )
