"""From an edit's pictures to latents: once for all its rows, in tiles where the memory is short."""

import structlog

from shared.errors import GenerationFailed
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.pictures import EncodedPictures, Pictures
from worker.engine.rows.tiles import in_tiles_if_need_be

log = structlog.get_logger(__name__)


def encode(family: RowFamily, pictures: Pictures) -> EncodedPictures:
    """Encode the pictures of one request.

    Args:
        family: of its rows.
        pictures: as the family has prepared them.

    Raises:
        GenerationFailed: the autoencoder makes values of them that are no numbers, in full precision too
            where the model's entry allows that.
        Exception: whatever else the autoencoder raises.
    """
    vae = family.pipeline.vae
    encoded = in_tiles_if_need_be(vae, family.device, lambda: family.encode_pictures(pictures, vae))
    return encoded if encoded.is_finite else _again(family, pictures, encoded)


def _again(family: RowFamily, pictures: Pictures, encoded: EncodedPictures) -> EncodedPictures:
    """Encode in float32 what came out with values that are no numbers."""
    spec = family.model.spec
    if spec.float32_decoding:
        encoded = family.encode_pictures(pictures, family.vae_in_float32())
    mended = encoded.is_finite
    log.warning("input.no_numbers", model=spec.name, again=spec.float32_decoding, mended=mended)
    if not mended:
        msg = f"model {spec.name!r} made values that are no numbers of a picture"
        raise GenerationFailed(msg)
    return encoded
