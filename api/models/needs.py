"""What a request may need of a model, and what is said where none has it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.catalogue import EditsBy, ModelSpec
from shared.params import Params


@dataclass(frozen=True)
class Need:
    """One need.

    Attributes:
        param: the field that brings it.
        met: whether a model can serve a request as far as this goes.
        message: what is said where no candidate can, with ``params`` and the ``names`` of those that can.
    """

    param: str
    met: Callable[[ModelSpec, Params], bool]
    message: str


def _edits(spec: ModelSpec, params: Params) -> bool:
    return not params.edits or spec.edits is not None


def _draws_without(spec: ModelSpec, params: Params) -> bool:
    return params.edits or spec.edits is None or not spec.edits.required


def _takes_as_many(spec: ModelSpec, params: Params) -> bool:
    return spec.edits is None or len(params.input_sizes) <= spec.edits.most_images


def _masks(spec: ModelSpec, params: Params) -> bool:
    return not params.masked or (spec.edits is not None and spec.edits.masks)


def _begins_with_it(spec: ModelSpec) -> bool:
    return spec.edits is not None and spec.edits.by is EditsBy.IMAGE_TO_IMAGE


def _keeps(spec: ModelSpec, params: Params) -> bool:
    return params.input_fidelity is None or _begins_with_it(spec)


def _redraws(spec: ModelSpec, params: Params) -> bool:
    return params.strength is None or _begins_with_it(spec)


# In this order: what a model cannot do at all is said before what it cannot do so.
NEEDS: Final = (
    Need("image", _edits, "This model cannot edit pictures. Models that can: {names}."),
    Need(
        "model",
        _draws_without,
        "This model draws nothing without a picture: it edits those that are sent to /v1/images/edits. "
        "Models that draw without one: {names}.",
    ),
    Need("image", _takes_as_many, "This model takes fewer pictures. Models that take as many: {names}."),
    Need("mask", _masks, "This model takes no mask. Models that do: {names}."),
    Need(
        "input_fidelity",
        _keeps,
        "This model looks at the picture and does not begin with it, so that there is nothing to say of how "
        "much is kept. Models that begin with it: {names}.",
    ),
    Need(
        "strength",
        _redraws,
        "This model looks at the picture and does not begin with it, so that it knows no strength. "
        "Models that begin with it: {names}.",
    ),
    Need(
        "size",
        lambda spec, params: spec.supports_size(params.width, params.height),
        "The size {params.size} is beyond what this model can do. Models that can: {names}.",
    ),
    Need(
        "background",
        lambda spec, params: spec.transparent or not params.transparent,
        "This model cannot draw a transparent background. Models that can: {names}.",
    ),
    Need(
        "negative_prompt",
        lambda spec, params: spec.negative_prompt or not params.negative_prompt,
        "This model does not take a negative prompt. Models that do: {names}.",
    ),
)
