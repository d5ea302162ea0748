"""How long something takes on a device, and in what batches it goes quickest."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from worker.engine.failures import is_out_of_memory
from worker.engine.models.devices import release_memory

LEAST_RUNS = 3
MEASURED_S = 0.2
"""The shortest time over which something is measured."""
DOUBLING_PAYS = 1.05
"""A doubled batch must give so many times the images a second."""


def clock(device: torch.device) -> float:
    """Return seconds, read when the device has done all it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of a run, after one that is not counted."""
    work()
    began_at, runs = clock(device), 0
    while runs < LEAST_RUNS or clock(device) - began_at < MEASURED_S:
        work()
        runs += 1
    return (clock(device) - began_at) / runs


class Batches(NamedTuple):
    """How many images a run go through quickest, the seconds an image then, and those of one alone."""

    images: int
    best_s: float
    alone_s: float


def best_batch(run: Callable[[int], object], device: torch.device, most: int) -> Batches:
    """Return in what batches images go through quickest.

    Args:
        run: does so many images.
        device: on which it does.
        most: images that are tried.
    """
    alone_s = seconds_of(lambda: run(1), device)
    best, best_s, images = 1, alone_s, 2
    while images <= most:
        try:
            each_s = seconds_of(lambda: run(images), device) / images  # noqa: B023 - called at once
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            release_memory(device)
            break
        if each_s * DOUBLING_PAYS > best_s:
            break
        best, best_s, images = images, each_s, 2 * images
    return Batches(best, best_s, alone_s)
