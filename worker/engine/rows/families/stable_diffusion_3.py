"""Stable Diffusion 3."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from typing_extensions import override

from worker.engine.rows.families.family import Call, RowFamily, by_row, gather, repeat_latents, timesteps_now
from worker.engine.rows.families.guidance import guide
from worker.engine.rows.families.timesteps import noise_from, shift_of, timesteps_of
from worker.engine.rows.row import Entry, Row

PROMPTS = ("prompt", "prompt_2", "prompt_3", "negative_prompt", "negative_prompt_2", "negative_prompt_3")


class StableDiffusion3(RowFamily):
    """``StableDiffusion3Pipeline``: a transformer over (channels, height / 8, width / 8)."""

    handled: ClassVar = frozenset({*PROMPTS, "clip_skip", "max_sequence_length", "mu"})
    text_arguments: ClassVar = (*PROMPTS, "clip_skip", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        guided: bool = call["guidance_scale"] > 1
        return guided

    @override
    def encode(self, call: Call) -> tuple[Entry, ...]:
        guided = self.is_guided(call)
        positive, negative, pooled, negative_pooled = self.pipeline.encode_prompt(
            **{name: call[name] for name in self.text_arguments}, do_classifier_free_guidance=guided
        )
        entry = {"text": positive, "pooled": pooled}
        return ({"text": negative, "pooled": negative_pooled}, entry) if guided else (entry,)

    @override
    def begin(
        self, call: Call, pipeline: Any, entries: tuple[Entry, ...], generator: list[torch.Generator]
    ) -> Row:
        text = entries[-1]["text"]
        latents = pipeline.prepare_latents(
            1,
            pipeline.transformer.config.in_channels,
            call["height"],
            call["width"],
            text.dtype,
            text.device,
            generator,
        )
        return Row(
            scheduler=pipeline.scheduler,
            timesteps=timesteps_of(pipeline, call, **_shift(pipeline, call, latents)),
            latents=latents,
            entries=entries,
            guidance=call["guidance_scale"],
            steps=call["num_inference_steps"],
            width=call["width"],
            height=call["height"],
            text_class=text.shape[1],
            step_arguments=noise_from(pipeline.scheduler, generator),
        )

    @override
    def predict(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        (output,) = self.pipeline.transformer(
            hidden_states=repeat_latents(rows),
            timestep=timesteps_now(rows),
            encoder_hidden_states=gather(rows, "text"),
            pooled_projections=gather(rows, "pooled"),
            return_dict=False,
        )
        return [guide(row, part) for row, part in by_row(rows, output)]

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        config = self.pipeline.vae.config
        unpacked: torch.Tensor = latents / config.scaling_factor + config.shift_factor
        return unpacked


def _shift(pipeline: Any, call: Call, latents: torch.Tensor) -> dict[str, float]:  # noqa: ANN401
    """Return the scheduler's shift where it is asked for or the scheduler wants one for the size."""
    if call["mu"] is not None:
        return {"mu": call["mu"]}
    if not pipeline.scheduler.config.get("use_dynamic_shifting"):
        return {}
    patch = pipeline.transformer.config.patch_size
    tokens = (latents.shape[-2] // patch) * (latents.shape[-1] // patch)
    return {"mu": shift_of(pipeline, tokens, max_shift=1.16)}
