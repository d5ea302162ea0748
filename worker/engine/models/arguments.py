"""What a request asks of its model's pipeline: whether it may, and with which arguments."""

from collections.abc import Mapping
from typing import Any

from PIL import Image

from shared.catalogue import EditsBy, ModelSpec, Wording
from shared.errors import GenerationFailed
from worker.engine.models.loading import LoadedModel
from worker.engine.models.tokens import Fitted, fit_prompt
from worker.engine.request import Edit, ImageRequest

Call = Mapping[str, Any]
"""The arguments of a pipeline's own call."""


def check(model: LoadedModel, request: ImageRequest) -> None:
    """Check that the model can do what is asked.

    Raises:
        GenerationFailed: it cannot; the message says what.
    """
    if request.transparent and not model.spec.transparent:
        msg = f"model {request.model!r} cannot draw transparent backgrounds"
        raise GenerationFailed(msg)
    if request.negative_prompt is not None and not model.spec.negative_prompt:
        msg = f"model {request.model!r} takes no negative prompt"
        raise GenerationFailed(msg)
    if request.edit is not None:
        _check_edit(model.spec, request.edit)
    elif model.spec.edits is not None and model.spec.edits.required:
        msg = f"model {request.model!r} draws nothing without a picture"
        raise GenerationFailed(msg)
    if not model.spec.supports_size(request.width, request.height):
        msg = f"model {request.model!r} does not draw {request.width}x{request.height}"
        raise GenerationFailed(msg)


def _check_edit(spec: ModelSpec, edit: Edit) -> None:
    edits = spec.edits
    if edits is None:
        msg = f"model {spec.name!r} edits no pictures"
        raise GenerationFailed(msg)
    if not 1 <= len(edit.images) <= edits.most_images:
        msg = f"model {spec.name!r} edits with 1 to {edits.most_images} pictures, not with {len(edit.images)}"
        raise GenerationFailed(msg)
    if edit.mask is not None and not edits.masks:
        msg = f"model {spec.name!r} takes no mask"
        raise GenerationFailed(msg)
    if (edit.strength is not None) != (edits.by is EditsBy.IMAGE_TO_IMAGE):
        msg = f"model {spec.name!r} edits by {edits.by.value}: a strength is for image-to-image alone"
        raise GenerationFailed(msg)


def fit(model: LoadedModel, request: ImageRequest) -> Fitted:
    """Return what the model reads of the request's prompt."""
    return fit_prompt(model.tokenizer, request.wording, model.spec.token_limit)


def call_arguments(model: LoadedModel, request: ImageRequest, prompt: Fitted | None = None) -> dict[str, Any]:
    """Return the arguments of the pipeline's own call, save those that say how it is followed.

    Args:
        model: the model.
        request: what to draw.
        prompt: what is read of its prompt, where that is known already.
    """
    spec = model.spec
    width, height = spec.sizes.generated(request.width, request.height)
    arguments: dict[str, Any] = {
        **spec.arguments,
        "prompt": (prompt or fit(model, request)).text,
        "width": width,
        "height": height,
        "num_inference_steps": request.steps,
        spec.guidance_argument: request.guidance,
        "output_type": "pt",
    }
    if request.negative_prompt is not None:
        arguments["negative_prompt"] = request.negative_prompt
    return arguments


def first_request(spec: ModelSpec, words: str = "warm-up") -> ImageRequest:
    """Return a picture of the native size in one step; made of a white one where the model needs one."""
    size = spec.sizes.native_width, spec.sizes.native_height
    edit = (
        Edit((Image.new("RGB", size, "white"),)) if spec.edits is not None and spec.edits.required else None
    )
    return ImageRequest(
        model=spec.name,
        wording=Wording("", words, ""),
        negative_prompt=None,
        width=size[0],
        height=size[1],
        steps=1,
        guidance=spec.guidance.vivid,
        seeds=(0,),
        transparent=spec.transparent,
        output_format="png",
        output_compression=95,
        edit=edit,
    )
