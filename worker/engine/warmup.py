"""One short picture before the first request, so that the first request finds everything set up."""

from shared.catalogue import ModelSpec
from shared.errors import CatalogueError
from worker.engine.arguments import call_arguments
from worker.engine.loading import LoadedModel
from worker.engine.request import ImageRequest
from worker.engine.rows.decoding import decode
from worker.engine.rows.families.family import RowFamily
from worker.engine.whole import Stages, draw


class _Nobody:
    """Watches nothing."""

    def on_step(self, step: int, steps: int) -> None:
        """Take no note."""

    def stop_requested(self) -> bool:
        """Never stop."""
        return False


def first_request(spec: ModelSpec) -> ImageRequest:
    """Return a picture of the native size in one step."""
    return ImageRequest(
        model=spec.name,
        prompt="warm-up",
        conditioning_prompt="warm-up",
        negative_prompt=None,
        width=spec.sizes.native_width,
        height=spec.sizes.native_height,
        steps=1,
        guidance=spec.guidance.vivid,
        seeds=(0,),
        transparent=spec.transparent,
        output_format="png",
        output_compression=95,
    )


def warm_up(model: LoadedModel, family: RowFamily | None) -> None:
    """Draw one picture and throw it away.

    Args:
        model: to draw with.
        family: its row adapter, if it has one.

    Raises:
        CatalogueError: the model loads but cannot draw; the message names its entry.
    """
    try:
        if family is None:
            _draw_whole(model)
        else:
            _draw_row(model, family)
    except Exception as error:
        detail = str(error).strip().splitlines() or [""]
        msg = f"model {model.spec.name!r}: its first picture failed: {type(error).__name__}: {detail[0]}"
        raise CatalogueError(msg) from error


def _draw_whole(model: LoadedModel) -> None:
    for _ in draw(model, first_request(model.spec), _Nobody(), lambda: None, Stages()):
        pass


def _draw_row(model: LoadedModel, family: RowFamily) -> None:
    request = first_request(model.spec)
    row = family.prepare(call_arguments(model, request), request.seeds[0])
    while not row.is_done:
        (prediction,) = family.predict([row])
        family.advance(row, prediction)
    decode(family, row, transparent=request.transparent)
