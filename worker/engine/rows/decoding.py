"""From a row's latents to pixels, in tiles where the memory is short."""

import torch

from shared.errors import GenerationFailed
from worker.engine.devices import release_memory
from worker.engine.failures import is_out_of_memory
from worker.engine.pixels import RGBA_CHANNELS, Pixels, to_pixels
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.row import Row


def decode(family: RowFamily, row: Row, *, transparent: bool) -> Pixels:
    """Decode a finished row.

    Args:
        family: the row's.
        row: with all its steps done.
        transparent: whether to keep the alpha channel, and insist on it.

    Raises:
        GenerationFailed: there is no alpha channel.
    """
    return _pixels(family, _decode(family, row), transparent=transparent)


def decode_preview(family: RowFamily, row: Row, latents: torch.Tensor, *, transparent: bool) -> Pixels:
    """Decode other latents of a row, once: a preview is not worth the time that tiles take.

    Raises:
        GenerationFailed: there is no alpha channel.
        Exception: whatever else the autoencoder raises.
    """
    return _pixels(family, family.decode(row, latents), transparent=transparent)


def _pixels(family: RowFamily, image: torch.Tensor, *, transparent: bool) -> Pixels:
    if transparent and image.shape[0] != RGBA_CHANNELS:
        msg = f"model {family.model.spec.name!r} drew no alpha channel"
        raise GenerationFailed(msg)
    return to_pixels(image, keep_alpha=transparent)


def _decode(family: RowFamily, row: Row) -> torch.Tensor:
    try:
        return family.decode(row)
    except Exception as error:
        vae = family.pipeline.vae
        if not is_out_of_memory(error) or not hasattr(vae, "enable_tiling"):
            raise
    release_memory(row.latents.device)
    vae.enable_tiling()
    try:
        return family.decode(row)
    finally:
        vae.disable_tiling()
