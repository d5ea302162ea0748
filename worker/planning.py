"""From the caller's choices to what the engine draws, by the model's entry in the catalogue."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from shared.catalogue import ModelSpec
from shared.job_warnings import QUALITY_WITHOUT_EFFECT, SIZE_EXTENDED, SIZE_RESAMPLED, JobWarning
from shared.params import Params, Quality
from worker.engine import ImageRequest
from worker.engine.request import Edit
from worker.inputs import pictures
from worker.inspection import Inspection


class Planner:
    """Plans what a worker draws."""

    def __init__(self, specs: Mapping[str, ModelSpec], inspection: Inspection) -> None:
        self.models = frozenset(specs)
        """The models that are served."""
        self._specs = specs
        self._inspection = inspection

    def plan(self, params: Params, model: str, files: Mapping[str, bytes] | None = None) -> ImageRequest:
        """Return what to draw for a job's params with a served model, and who looks at it.

        Args:
            params: the job's.
            model: draws it.
            files: the pictures that it begins with, by their names in the store.

        Raises:
            GenerationFailed: one of those is missing.
            PictureBlocked: one of those may not be edited.
        """
        spec = self._specs[model]
        request = self._inspection.of(image_request(params, spec), params.moderation)
        if not params.edits:
            return request
        images, mask = pictures(files or {}, params)
        for image in images:
            if request.inspector is not None:
                request.inspector(image, preview=False)
        strength = spec.strength_for(params.strength, params.input_fidelity)
        return replace(request, edit=Edit(images, mask, strength))

    def warnings(self, params: Params, model: str) -> tuple[JobWarning, ...]:
        """Return what of a job's params a served model does otherwise than they say, by its entry."""
        return tuple(entry_warnings(params, self._specs[model]))


def image_request(params: Params, spec: ModelSpec) -> ImageRequest:
    """Return what to draw for a job's params with this model."""
    return ImageRequest(
        model=spec.name,
        wording=spec.wording(params.prompt, params.style, transparent=params.transparent),
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


def entry_warnings(params: Params, spec: ModelSpec) -> Iterator[JobWarning]:
    """Yield what of a job's params this model does otherwise than they say, by its entry."""
    sizes, asked = spec.sizes, (params.width, params.height)
    picture, drawn = sizes.picture(*asked), sizes.generated(*asked)
    if sizes.resamples(*asked):
        message = f"It was drawn at {_size(drawn)} and resampled to {_size(picture)}."
        yield JobWarning(SIZE_RESAMPLED, message)
    if picture != asked:
        message = (
            f"The model draws nothing as elongated as {params.size}: {_size(picture)} of it are drawn, "
            "and the rest continues the background."
        )
        yield JobWarning(SIZE_EXTENDED, message)
    steps = spec.steps_for(params.quality)
    if params.quality is not Quality.MEDIUM and steps == spec.steps.medium:
        message = f"The model takes {steps} steps at quality {params.quality.value}, as many as at medium."
        yield JobWarning(QUALITY_WITHOUT_EFFECT, message)


def _size(sides: tuple[int, int]) -> str:
    return "x".join(map(str, sides))
