"""One short picture before the first request, so that the first request finds everything set up."""

from shared.errors import CatalogueError
from worker.engine.loading import LoadedModel
from worker.engine.request import ImageRequest
from worker.engine.whole import Stages, draw


class _Nobody:
    """Watches nothing."""

    def on_step(self, step: int, steps: int) -> None:
        """Take no note."""

    def stop_requested(self) -> bool:
        """Never stop."""
        return False


def warm_up(model: LoadedModel) -> None:
    """Draw one picture of the native size in one step and throw it away.

    Raises:
        CatalogueError: the model loads but cannot draw; the message names its entry.
    """
    spec = model.spec
    request = ImageRequest(
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
    try:
        for _ in draw(model, request, _Nobody(), lambda: None, Stages()):
            pass
    except Exception as error:
        detail = str(error).strip().splitlines() or [""]
        msg = f"model {spec.name!r}: its first picture failed: {type(error).__name__}: {detail[0]}"
        raise CatalogueError(msg) from error
