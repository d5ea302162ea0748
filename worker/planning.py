"""From the caller's choices to what the engine draws, by the model's entry in the catalogue."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from shared.catalogue import EditsBy, ModelSpec, Sizes, place
from shared.job_warnings import QUALITY_WITHOUT_EFFECT, SIZE_EXTENDED, SIZE_RESAMPLED, JobWarning
from shared.params import Params, Quality, Style
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

    def plan(
        self, params: Params, model: str, files: Mapping[str, bytes] | None = None, *, low: bool = False
    ) -> ImageRequest:
        """Return what to draw for a job's params with a served model, and who looks at it.

        Args:
            params: the job's.
            model: draws it.
            files: the pictures that it begins with, by their names in the store.
            low: it makes way for every request that is not.

        Raises:
            GenerationFailed: one of those is missing.
            PictureBlocked: one of those may not be edited.
        """
        spec = self._specs[model]
        drawn = replace(image_request(params, spec), low=low)
        request = self._inspection.of(drawn, params.moderation)
        if not params.edits:
            return request
        images, mask = pictures(files or {}, params)
        for image in images:
            if request.inspector is not None:
                request.inspector(image, preview=False)
        return replace(request, edit=Edit(images, mask, spec.strength_of(params)))

    def warnings(self, params: Params, model: str) -> tuple[JobWarning, ...]:
        """Return what of a job's params a served model does otherwise than they say, by its entry."""
        return tuple(entry_warnings(params, self._specs[model]))


def image_request(params: Params, spec: ModelSpec) -> ImageRequest:
    """Return what to draw for a job's params with this model."""
    return ImageRequest(
        model=spec.name,
        wording=spec.wording(params.prompt, _style(params, spec), transparent=params.transparent),
        negative_prompt=params.negative_prompt,
        width=params.width,
        height=params.height,
        steps=spec.steps_of(params),
        guidance=spec.guidance_for(params.style),
        seeds=params.seeds,
        transparent=params.transparent,
        output_format=params.output_format.value,
        output_compression=params.output_compression,
        partial_images=params.partial_images,
    )


def _style(params: Params, spec: ModelSpec) -> Style | None:
    """Return the style that is said: none to a model that is told what to change in what it looks at.

    One that begins with a picture is told what the picture is to show, as one that draws it from nothing.
    """
    tells = params.edits and spec.edits is not None and spec.edits.by is EditsBy.REFERENCE
    return None if tells else params.style


def entry_warnings(params: Params, spec: ModelSpec) -> Iterator[JobWarning]:
    """Yield what of a job's params this model does otherwise than they say, by its entry."""
    lies_on_it = params.edits and (params.masked or spec.strength_of(params) is not None)
    yield from _edited_size(params, spec.sizes) if lies_on_it else _drawn_size(params, spec.sizes)
    yield from _quality(params, spec)


def _drawn_size(params: Params, sizes: Sizes) -> Iterator[JobWarning]:
    asked = params.width, params.height
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


def _edited_size(params: Params, sizes: Sizes) -> Iterator[JobWarning]:
    """Yield at which size a picture was edited that lay on what was drawn: all of it, so none is made up."""
    asked = params.width, params.height
    left, upper, right, lower = place(asked, sizes.generated(*asked), sizes.multiple)
    edited = right - left, lower - upper
    if edited != asked:
        drawn = "What is drawn anew was drawn" if params.masked else "It was edited"
        message = f"{drawn} at {_size(edited)} and resampled to {_size(asked)}."
        yield JobWarning(SIZE_RESAMPLED, message)


def _quality(params: Params, spec: ModelSpec) -> Iterator[JobWarning]:
    at_medium = params.model_copy(update={"quality": Quality.MEDIUM})
    steps = spec.steps_taken(params)
    if params.quality is Quality.MEDIUM or steps != spec.steps_taken(at_medium):
        return
    quality = params.quality.value
    message = f"The model takes {steps} steps at quality {quality}, as many as at medium."
    if spec.strength_of(params) is not None:
        # Families round the share of the steps that such an edit takes each in their own way.
        message = f"Such an edit takes as many steps at quality {quality} as at medium."
    yield JobWarning(QUALITY_WITHOUT_EFFECT, message)


def _size(sides: tuple[int, int]) -> str:
    return "x".join(map(str, sides))
