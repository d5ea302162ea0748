"""Runs an autoencoder in tiles where its memory is short."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from worker.engine.failures import is_out_of_memory
from worker.engine.models.devices import release_memory

O = TypeVar("O")  # noqa: E741 - what it brings


def in_tiles_if_need_be(vae: Any, device: torch.device, run: Callable[[], O]) -> O:  # noqa: ANN401
    """Return what a run of an autoencoder brings; a second one, in tiles, where the first had no memory.

    Args:
        vae: the pipeline's; nothing else may use it meanwhile.
        device: on which it is.
        run: of one image.

    Raises:
        Exception: whatever the run raises.
    """
    try:
        return run()
    except Exception as error:
        if not is_out_of_memory(error) or not hasattr(vae, "enable_tiling"):
            raise
    release_memory(device)
    vae.enable_tiling()
    try:
        return run()
    finally:
        vae.disable_tiling()
