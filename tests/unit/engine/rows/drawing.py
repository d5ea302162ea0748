"""Rows drawn by hand, and what the stock pipeline draws for the same call."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from worker.engine.models.loading import LoadedModel
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.row import Row

Call = Mapping[str, Any]


def call_of(model: LoadedModel, prompt: str, steps: int, guidance: float, **more: object) -> dict[str, Any]:
    """The arguments of a call of a model's pipeline, as the engine passes them."""
    return {
        **model.spec.arguments,
        "prompt": prompt,
        "width": 64,
        "height": 48,
        "num_inference_steps": steps,
        model.spec.guidance_argument: guidance,
        "output_type": "pt",
        **more,
    }


def stock(model: LoadedModel, call: Call, seed: int, scheduler: Any = None) -> torch.Tensor:
    """What the pipeline's own call draws; (channels, height, width), 0 to 1."""
    kept = model.pipeline.scheduler
    model.pipeline.scheduler = scheduler or model.fresh_scheduler()
    try:
        images = model.pipeline(**call, generator=[torch.Generator().manual_seed(seed)]).images
    finally:
        model.pipeline.scheduler = kept
    return images[0]


def tick(family: RowFamily, rows: Sequence[Row]) -> None:
    """Take rows one forward pass further."""
    for row, prediction in zip(rows, family.predict(rows), strict=True):
        family.advance(row, prediction)


def draw_joining(
    family: RowFamily, rows: Sequence[Row], leave: Callable[[int], Sequence[Row]] = lambda _: ()
) -> list[torch.Tensor]:
    """Draw rows in one bucket: one more joins at each tick, and each leaves when it is done.

    Args:
        family: of the rows.
        rows: in the order of joining.
        leave: the rows that are given up before a tick, by its number.
    """
    waiting, active, ticks = list(rows), [], 0
    while waiting or active:
        active += [waiting.pop(0)] if waiting else []
        active = [row for row in active if not any(row is given_up for given_up in leave(ticks))]
        tick(family, active)
        active = [row for row in active if not row.is_done]
        ticks += 1
    return [family.decode(row) for row in rows if row.is_done]


def furthest(images: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """The largest difference of any value of any image."""
    pairs = zip(images, expected, strict=True)
    return max((image - other).abs().max().item() for image, other in pairs)
