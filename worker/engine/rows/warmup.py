"""One short picture before the first request, so that the first request finds everything set up."""

from shared.errors import CatalogueError
from worker.engine.models.arguments import call_arguments, first_request
from worker.engine.models.loading import LoadedModel
from worker.engine.rows.decoding import Undecoded, decode
from worker.engine.rows.families.family import RowFamily
from worker.engine.whole.pipeline import Stages, draw


class _Nobody:
    """Watches nothing."""

    def on_step(self, step: int, steps: int) -> None:
        """Take no note."""

    def stop_requested(self) -> bool:
        """Never stop."""
        return False


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
    decode(family, [Undecoded(row, row.latents, request.transparent)])
