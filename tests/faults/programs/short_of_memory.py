"""The real worker and the real engine on a device with little memory.

``celery -A tests.faults.programs.short_of_memory worker``. Forward passes take up to four rows as far as the
engine knows; two fit, and of rows wider than 64 px not even one. Each pass that was tried is one line of
``FAULTS_EVENTS``: rows, width, and whether they fitted.
"""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from worker.engine import Engine
from worker.engine.rows.families.stable_diffusion import StableDiffusion
from worker.engine.rows.row import Row

ROWS_KNOWN = 4
ROWS_THAT_FIT = 2
WIDTH_THAT_FITS_PX = 64

_events = Path(os.environ["FAULTS_EVENTS"])
_predict = StableDiffusion.predict


def predict(self: StableDiffusion, rows: Sequence[Row]) -> list[torch.Tensor]:
    """Predict, or find no memory as a driver would."""
    fits = len(rows) <= ROWS_THAT_FIT and rows[0].width <= WIDTH_THAT_FITS_PX
    with _events.open("a", encoding="utf-8") as file:
        file.write(f"{len(rows)} {rows[0].width} {fits}\n")
    if not fits:
        raise torch.OutOfMemoryError
    return _predict(self, rows)


StableDiffusion.predict = predict  # type: ignore[method-assign]
Engine.__init__ = functools.partialmethod(Engine.__init__, batch_rows=ROWS_KNOWN)  # type: ignore[method-assign,assignment]

from worker.main import app  # noqa: E402, F401 - Celery asks this module for it
