"""One request, whole, through the pipeline's own loop, one image after the other.

An image alone in its batch does not depend on its neighbours: image i of n is the image of seed i.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import structlog
import torch

from shared.errors import AttemptCancelled, GenerationFailed
from worker.engine.models.arguments import call_arguments, check
from worker.engine.models.loading import LoadedModel
from worker.engine.pictures.canvas import Canvas, on_white
from worker.engine.pictures.pixels import RGBA_CHANNELS, Pixels, to_pixels, to_tensor
from worker.engine.request import ImageRequest, Watcher

log = structlog.get_logger(__name__)


@dataclass
class Stages:
    """Seconds spent so far, by stage; ``tell`` gets each stretch of them."""

    tell: Callable[[str, float, float], object] = lambda *_: None
    denoise_s: float = 0.0
    decode_s: float = 0.0

    def add(self, began_at: float, stepped_at: float, ended_at: float) -> None:
        """Add an image: its steps were taken until ``stepped_at``, then it was decoded."""
        self.denoise_s += stepped_at - began_at
        self.decode_s += ended_at - stepped_at
        self.tell("denoise", began_at, stepped_at)
        self.tell("decode", stepped_at, ended_at)


@dataclass
class Progress:
    """Counts the steps of a request, tells its watcher and stops when told to."""

    watcher: Watcher
    tick: Callable[[], None]
    steps: int
    images: int
    before: int = 0
    """Steps of the images that are done."""
    stepped_at: float = field(default_factory=perf_counter)

    def report(self, step: int) -> None:
        """Report that ``step`` steps of the current image are done.

        Raises:
            AttemptCancelled: the watcher asks to stop.
        """
        self.stepped_at = perf_counter()
        self.tick()
        if self.watcher.stop_requested():
            raise AttemptCancelled
        self.watcher.on_step(self.before + step, self.steps * self.images)

    def on_step_end(
        self, pipeline: object, step: int, _timestep: object, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """Follow a pipeline that takes ``callback_on_step_end``."""
        # Schedulers of a higher order take several timesteps a step.
        timesteps = getattr(pipeline, "num_timesteps", None) or self.steps
        self.report(min((step + 1) * self.steps // timesteps, self.steps))
        return tensors

    def on_legacy_step(self, step: int, _timestep: object, _latents: object) -> None:
        """Follow a pipeline that only takes the older ``callback``."""
        self.report(min(step + 1, self.steps))


def draw(
    model: LoadedModel,
    request: ImageRequest,
    watcher: Watcher,
    tick: Callable[[], None],
    stages: Stages,
    tell_no_numbers: Callable[[], object] = lambda: None,
) -> Iterator[Pixels]:
    """Draw the request's images one after the other; pixels at the generated size.

    Args:
        model: the model to draw with.
        request: what to draw.
        watcher: is told of each step.
        tick: is called at each step, as a sign of life.
        stages: seconds are added to it.
        tell_no_numbers: is called where an image has values that are no numbers.

    Raises:
        AttemptCancelled: the watcher asked to stop.
        GenerationFailed: the model cannot do what is asked, or an image has values that are no numbers.
    """
    check(model, request)
    _check_edit(model, request)
    progress = Progress(watcher, tick, request.steps, len(request.seeds))
    arguments = _arguments(model, request, progress)
    progress.report(0)
    for index, seed in enumerate(request.seeds):
        progress.before = index * request.steps
        started_at = progress.stepped_at = perf_counter()
        image = _run(model, arguments, seed)
        if not _callback_name(model):
            progress.report(request.steps)
        if not bool(torch.isfinite(image).all()):
            log.warning("picture.no_numbers", model=request.model, again=False, mended=False)
            tell_no_numbers()
            msg = f"model {request.model!r} drew values that are no numbers"
            raise GenerationFailed(msg)
        if request.transparent and image.shape[0] != RGBA_CHANNELS:
            msg = f"model {request.model!r} drew no alpha channel"
            raise GenerationFailed(msg)
        pixels = to_pixels(image, keep_alpha=request.transparent)
        stages.add(started_at, progress.stepped_at, perf_counter())
        yield pixels


def _arguments(model: LoadedModel, request: ImageRequest, progress: Progress) -> dict[str, Any]:
    arguments = call_arguments(model, request) | _pictures(model, request)
    callback = _callback_name(model)
    if callback == "callback":
        arguments |= {"callback": progress.on_legacy_step, "callback_steps": 1}
    elif callback:
        arguments[callback] = progress.on_step_end
    return arguments


def _check_edit(model: LoadedModel, request: ImageRequest) -> None:
    edit = request.edit
    if edit is not None and (edit.strength is not None or "image" not in model.parameters):
        msg = f"model {request.model!r} does not edit pictures like this: its pipeline runs whole"
        raise GenerationFailed(msg)


def _pictures(model: LoadedModel, request: ImageRequest) -> dict[str, Any]:
    """Return the argument that hands an edit's pictures over: a list only where there are several."""
    if request.edit is None:
        return {}
    canvas, images = Canvas.of(request, model.spec.sizes), request.edit.images
    first = images[0] if canvas is None else canvas.whole()
    pictures = [on_white(each) for each in (first, *images[1:])]
    return {"image": pictures if len(pictures) > 1 else pictures[0]}


def _callback_name(model: LoadedModel) -> str:
    """Return the argument through which the pipeline reports its steps, or nothing."""
    return next((name for name in ("callback_on_step_end", "callback") if name in model.parameters), "")


def _run(model: LoadedModel, arguments: dict[str, Any], seed: int) -> torch.Tensor:
    """Run the pipeline once; (channels, height, width), 0 to 1."""
    # Always a CPU generator, so that a seed means the same on every device.
    generator = torch.Generator("cpu").manual_seed(seed)
    pristine = model.pipeline.scheduler
    model.pipeline.scheduler = model.fresh_scheduler()
    try:
        images = model.pipeline(**arguments, generator=[generator]).images
    finally:
        model.pipeline.scheduler = pristine
    return to_tensor(images[0])
