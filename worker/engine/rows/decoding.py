"""From latents to pixels: several at once, in tiles where the memory is short, never what is no number."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import structlog
import torch

from shared.errors import GenerationFailed
from worker.engine.pictures.pixels import RGBA_CHANNELS, Pixels, to_pixels
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.row import Row
from worker.engine.rows.tiles import in_tiles_if_need_be

log = structlog.get_logger(__name__)


class Tell(Protocol):
    """Takes note of an image whose values are no numbers."""

    def __call__(self, *, mended: bool) -> None:
        """Hear whether decoding it once more gave a picture."""


class Undecoded(NamedTuple):
    """Latents of a row, its own or what it is heading for."""

    row: Row
    latents: torch.Tensor
    transparent: bool
    """Whether to keep the alpha channel, and insist on it."""
    tell: Tell | None = None
    """Is told where it has values that are no numbers."""


def decode(family: RowFamily, images: Sequence[Undecoded]) -> list[Pixels]:
    """Decode images of one size, in one run of the decoder.

    Args:
        family: of all the rows.
        images: one alone is decoded in tiles where its memory is short, and once more in float32 where it has
            values that are no numbers.

    Raises:
        GenerationFailed: one has no alpha channel, or values that are no numbers.
    """
    encoded = torch.cat([family.unpack(each.row, each.latents) for each in images])
    decoded = _alone(family, encoded) if len(images) == 1 else family.decoded(encoded)
    if not bool(torch.isfinite(decoded).all()):
        decoded = _again(family, encoded, images)
    return [_pixels(family, each, decoded[i : i + 1]) for i, each in enumerate(images)]


def decode_preview(family: RowFamily, preview: Undecoded) -> Pixels:
    """Decode a preview: it is not worth the time that tiles or full precision take.

    Raises:
        GenerationFailed: as with a picture.
        Exception: whatever else the autoencoder raises.
    """
    decoded = family.decoded(family.unpack(preview.row, preview.latents))
    if not bool(torch.isfinite(decoded).all()):
        raise _no_numbers(family)
    return _pixels(family, preview, decoded)


def _pixels(family: RowFamily, image: Undecoded, decoded: torch.Tensor) -> Pixels:
    finished = family.finish(image.row, decoded)
    if image.transparent and finished.shape[0] != RGBA_CHANNELS:
        msg = f"model {family.model.spec.name!r} drew no alpha channel"
        raise GenerationFailed(msg)
    return to_pixels(finished, keep_alpha=image.transparent)


def _alone(family: RowFamily, encoded: torch.Tensor) -> torch.Tensor:
    return in_tiles_if_need_be(family.pipeline.vae, encoded.device, lambda: family.decoded(encoded))


def _again(family: RowFamily, encoded: torch.Tensor, images: Sequence[Undecoded]) -> torch.Tensor:
    """Decode once more, in float32, what came out with values that are no numbers.

    Raises:
        GenerationFailed: so it does again, or the model's entry does not allow it; or there are several, of
            which each is then decoded alone.
    """
    spec = family.model.spec
    if len(images) > 1:
        raise _no_numbers(family)
    decoded = (
        family.decoded_in_float32(encoded) if spec.float32_decoding else encoded.new_full([1], torch.nan)
    )
    mended = bool(torch.isfinite(decoded).all())
    log.warning("picture.no_numbers", model=spec.name, again=spec.float32_decoding, mended=mended)
    if (tell := images[0].tell) is not None:
        tell(mended=mended)
    if not mended:
        raise _no_numbers(family)
    return decoded


def _no_numbers(family: RowFamily) -> GenerationFailed:
    return GenerationFailed(f"model {family.model.spec.name!r} drew values that are no numbers")
