"""What the tests draw with: engines, watchers, and a look at what came out."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.catalogue import Catalogue
from tests.waiting import wait_until
from worker.engine import Engine, ImageRequest

RequestMaker = Callable[..., ImageRequest]


def engine_of(catalogue: Catalogue) -> Engine:
    """An engine on the CPU that serves everything in a catalogue; tiny models are slower on more threads."""
    specs = {spec.name: (spec, catalogue.check_weights(spec)) for spec in catalogue.specs}
    return Engine(specs, "cpu", torch_threads=1)


class Recorder:
    """Remembers every report; asks to stop once ``stop_after`` steps were reported; may do more at each."""

    def __init__(self, stop_after: int | None = None, at_step: Callable[[int], object] | None = None) -> None:
        self.reports: list[tuple[int, int]] = []
        self._stop_after = stop_after
        self._at_step = at_step

    def on_step(self, step: int, steps: int) -> None:
        self.reports.append((step, steps))
        if self._at_step is not None:
            self._at_step(step)

    def stop_requested(self) -> bool:
        return self._stop_after is not None and any(step >= self._stop_after for step, _ in self.reports)


class Viewer(Recorder):
    """Remembers every preview, and lets the engine go on only when so many have come as are due.

    Where several are due, a second is only looked for when the first has arrived, a moment after it was told.
    So which of them come depends on the time, and the tests wait for the first one of an image.
    """

    def __init__(self, expected: Callable[[int], int] = lambda _: 0) -> None:
        """Begin with none; ``expected`` says how many there are to be when so many steps are reported."""
        super().__init__(
            at_step=lambda step: wait_until(lambda: len(self.previews) >= expected(step), what="a preview")
        )
        self.previews: list[tuple[int, int]] = []
        self.files: list[bytes] = []

    def on_preview(self, image: int, partial: int, file: bytes) -> None:
        self.files.append(file)
        self.previews.append((image, partial))


def picture(file: bytes) -> Image.Image:
    """The decoded image."""
    image = Image.open(BytesIO(file))
    image.load()
    return image


def pixels(file: bytes) -> npt.NDArray[np.uint8]:
    """The decoded pixels."""
    return np.asarray(picture(file))
