"""A request whose pipeline has no row adapter: drawn whole, with the device to itself."""

from collections.abc import Callable
from time import perf_counter

from shared.errors import AttemptCancelled
from worker.engine.life import Life
from worker.engine.models.arguments import fit
from worker.engine.models.findings import find
from worker.engine.models.loading import LoadedModel
from worker.engine.pictures.canvas import Canvas
from worker.engine.pictures.encoding import EncoderPool, Encoding
from worker.engine.whole import pipeline as whole
from worker.engine.work import Work


def draw_whole(
    model: LoadedModel,
    work: Work,
    encoders: EncoderPool,
    life: Life,
    load_s: float,
    look: Callable[[], object] = lambda: None,
) -> None:
    """Draw a request's images one after the other, and hand them on to be encoded.

    Args:
        model: on the device.
        work: what to draw.
        encoders: put the result on the work's future.
        life: is told of each step.
        load_s: seconds that loading the model took.
        look: is called at each step, and ends it with what it raises.

    Raises:
        AttemptCancelled: the watcher asked to stop, or the engine closes.
        GenerationFailed: the model cannot do what is asked, or an image has values that are no numbers.
    """
    request, stages, started_at = work.request, whole.Stages(work.tell_stage), perf_counter()
    life.rows = 1

    def tick() -> None:
        life.tick()
        if life.closing.is_set():
            raise AttemptCancelled
        look()

    encoding = Encoding(request, model.spec.sizes, Canvas.of(request, model.spec.sizes))

    def tell_no_numbers() -> None:
        work.tell_no_numbers(mended=False)

    for pixels in whole.draw(model, request, work.watcher, tick, stages, tell_no_numbers):
        encoders.add(encoding, pixels)
    timings_s = {
        "queue": started_at - work.submitted_at - load_s,
        "load": load_s,
        "denoise": stages.denoise_s,
        "decode": stages.decode_s,
    }
    encoders.finish(encoding, work, find(model, request, fit(model, request), whole=True), timings_s)
