"""The three stages of a model, each with something to run it on, and the modes that apply to it."""

from collections.abc import Callable
from typing import Final

import torch

from worker.engine.models.arguments import Call
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.row import Row
from worker.engine.stages.modes import (
    ATTENTION_BACKENDS,
    AttentionBackend,
    BenchmarkedConvolutions,
    CompiledBlocks,
    Layout,
    Mode,
)
from worker.engine.stages.stage import Stage
from worker.engine.stages.tuner import MOST_IMAGES

STAGES: Final = ("text", "denoise", "decode")


def modes_of(family: RowFamily, stage: Stage) -> tuple[Mode, ...]:
    """Return the modes of a stage, in the order in which they are tried."""
    # The attention of a UNet takes no notice of what its backend is said to be.
    chooses = stage.name == "denoise" and hasattr(family.pipeline, "transformer")
    attention = [AttentionBackend(name) for name in ATTENTION_BACKENDS] if chooses else []
    own = family.text_modes() if stage.name == "text" else ()
    layouts = (Layout(torch.contiguous_format), Layout(torch.channels_last))
    compiled = () if stage.name == "text" else (CompiledBlocks(alone=stage.name == "decode"),)
    return (*layouts, BenchmarkedConvolutions(), *own, *attention, *compiled)


def stages_of(family: RowFamily, call: Callable[[str], Call]) -> tuple[Stage, ...]:
    """Return the stages of a model, each with something to run it on.

    Args:
        family: of the model.
        call: returns what to draw for a prompt.
    """
    examples, pipeline = _Examples(family, call), family.pipeline
    decoder = getattr(pipeline.vae, "decoder", pipeline.vae)
    encoders = tuple(each.graphs for each in family.encoders)
    denoising = (family.denoiser,) if family.has_fixed_shapes else ()
    return (
        Stage("text", pipeline.text_encoder, examples.text, encoders),
        Stage("denoise", family.denoising, examples.denoise, denoising, examples.denoise_exactly),
        Stage("decode", decoder, examples.decode, (family.decoder,), examples.decode_exactly),
    )


class _Examples:
    """Always the same images, and what each stage makes of them."""

    def __init__(self, family: RowFamily, call: Callable[[str], Call]) -> None:
        self._family = family
        self._calls = [family.call(call(f"number {i} of some pictures")) for i in range(MOST_IMAGES + 1)]
        self._made: list[Row] = []

    def text(self, images: int, first: int = 0) -> list[torch.Tensor]:
        self._family.texts.clear()
        found = self._family.encode_all(self._calls[first : first + images])
        return [tensor for entries in found for entry in entries for tensor in entry.values()]

    def denoise(self, images: int, first: int = 0) -> list[torch.Tensor]:
        return self._family.predict(self._rows(images, first))

    def denoise_exactly(self) -> list[torch.Tensor]:
        with self._family.denoising_in_float32():
            return self._family.predict([row.in_float32() for row in self._rows(1, 0)])

    def decode(self, images: int, first: int = 0) -> list[torch.Tensor]:
        return [self._family.decoded(self._undecoded(images, first))]

    def decode_exactly(self) -> list[torch.Tensor]:
        return [self._family.decoded_in_float32(self._undecoded(1, 0))]

    def _rows(self, images: int, first: int) -> list[Row]:
        while len(self._made) < first + images:
            # Two texts are enough to tell a recording from a run.
            self._made.append(self._family.prepare(self._calls[len(self._made) % 2], len(self._made)))
        return self._made[first : first + images]

    def _undecoded(self, images: int, first: int) -> torch.Tensor:
        # Of the spread of finished latents: first ones are noise, of some schedulers at many times one.
        some = self._rows(images, first)
        return torch.cat([self._family.unpack(row, row.latents / row.latents.std()) for row in some])
