"""Z-Image."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers.pipelines.z_image.pipeline_z_image import get_default_z_image_sigmas
from typing_extensions import override

from worker.engine.rows.families.family import Call, RowFamily, repeat_latents, timesteps_now
from worker.engine.rows.families.text_length import text_class
from worker.engine.rows.families.timesteps import noise_from, shift_of, timesteps_of
from worker.engine.rows.row import Entry, Row


class ZImage(RowFamily):
    """``ZImagePipeline``: a transformer over lists of images and of texts, which it pads and masks itself."""

    handled: ClassVar = frozenset({"max_sequence_length"})
    text_arguments: ClassVar = ("prompt", "negative_prompt", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        guided: bool = call["guidance_scale"] > 0
        return guided

    @override
    def encode(self, call: Call) -> tuple[Entry, ...]:
        # The positive text comes first in this family; (tokens, width) each.
        positive, negative = self.pipeline.encode_prompt(
            prompt=call["prompt"],
            negative_prompt=call["negative_prompt"],
            do_classifier_free_guidance=self.is_guided(call),
            max_sequence_length=call["max_sequence_length"],
        )
        return tuple({"text": text} for text in (*positive, *negative))

    @override
    def begin(
        self, call: Call, pipeline: Any, entries: tuple[Entry, ...], generator: list[torch.Generator]
    ) -> Row:
        latents = pipeline.prepare_latents(
            1,
            pipeline.transformer.in_channels,
            call["height"],
            call["width"],
            torch.float32,
            entries[0]["text"].device,
            generator,
        )
        tokens = (latents.shape[2] // 2) * (latents.shape[3] // 2)
        sigmas = get_default_z_image_sigmas(call["num_inference_steps"])
        timesteps = timesteps_of(pipeline, call, sigmas=sigmas, mu=shift_of(pipeline, tokens))
        pipeline.scheduler.set_begin_index(0)
        return Row(
            scheduler=pipeline.scheduler,
            timesteps=timesteps,
            latents=latents,
            entries=entries,
            guidance=call["guidance_scale"],
            steps=call["num_inference_steps"],
            width=call["width"],
            height=call["height"],
            text_class=max(text_class(len(entry["text"])) for entry in entries),
            step_arguments=noise_from(pipeline.scheduler, generator),
        )

    @override
    def predict(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        transformer = self.pipeline.transformer
        latents = repeat_latents(rows).to(transformer.dtype).unsqueeze(2)
        (output,) = transformer(
            list(latents.unbind(dim=0)),
            (1000 - timesteps_now(rows)) / 1000,
            [entry["text"] for row in rows for entry in row.entries],
            return_dict=False,
        )
        parts = iter(output)
        return [-_guided(row, [next(parts).float() for _ in row.entries]) for row in rows]

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        unpacked: torch.Tensor = latents.to(vae.dtype) / vae.config.scaling_factor + vae.config.shift_factor
        return unpacked


def _guided(row: Row, outputs: list[torch.Tensor]) -> torch.Tensor:
    """Lead from the second entry past the first; each (channels, 1, height, width) to (1, channels, …)."""
    positive, *negative = outputs
    guided = positive + row.guidance * (positive - negative[0]) if negative else positive
    return guided.transpose(0, 1)
