"""FLUX.1."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from typing_extensions import override

from worker.engine.rows.families.family import Call, RowFamily, by_row, gather, repeat_latents, timesteps_now
from worker.engine.rows.families.guidance import guide
from worker.engine.rows.families.timesteps import flow_sigmas, noise_from, shift_of, timesteps_of
from worker.engine.rows.row import Entry, Row


class Flux(RowFamily):
    """``FluxPipeline``: a transformer over packed latents, (1, tokens, channels)."""

    handled: ClassVar = frozenset({"prompt_2", "negative_prompt_2", "true_cfg_scale", "max_sequence_length"})
    text_arguments: ClassVar = (
        "prompt",
        "prompt_2",
        "negative_prompt",
        "negative_prompt_2",
        "max_sequence_length",
    )

    @override
    def is_guided(self, call: Call) -> bool:
        return call["true_cfg_scale"] > 1 and call["negative_prompt"] is not None

    @override
    def encode(self, call: Call) -> tuple[Entry, ...]:
        positive = self._encode(call, call["prompt"], call["prompt_2"])
        if not self.is_guided(call):
            return (positive,)
        return self._encode(call, call["negative_prompt"], call["negative_prompt_2"]), positive

    def _encode(self, call: Call, prompt: str, prompt_2: str | None) -> Entry:
        text, pooled, _ = self.pipeline.encode_prompt(
            prompt, prompt_2, max_sequence_length=call["max_sequence_length"]
        )
        return {"text": text, "pooled": pooled}

    @override
    def begin(
        self, call: Call, pipeline: Any, entries: tuple[Entry, ...], generator: list[torch.Generator]
    ) -> Row:
        text = entries[-1]["text"]
        latents, image_ids = pipeline.prepare_latents(
            1,
            pipeline.transformer.config.in_channels // 4,
            call["height"],
            call["width"],
            text.dtype,
            text.device,
            generator,
        )
        timesteps = timesteps_of(
            pipeline, call, sigmas=flow_sigmas(pipeline, call), mu=shift_of(pipeline, latents.shape[1])
        )
        pipeline.scheduler.set_begin_index(0)
        return Row(
            scheduler=pipeline.scheduler,
            timesteps=timesteps,
            latents=latents,
            entries=self._with_guidance(entries, call["guidance_scale"]),
            guidance=call["true_cfg_scale"],
            steps=call["num_inference_steps"],
            width=call["width"],
            height=call["height"],
            text_class=text.shape[1],
            step_arguments=noise_from(pipeline.scheduler, generator),
            extras={"image_ids": image_ids, "text_ids": image_ids.new_zeros(text.shape[1], 3)},
        )

    def _with_guidance(self, entries: tuple[Entry, ...], scale: float) -> tuple[Entry, ...]:
        """Add the strength of guidance as an input, which distilled models are told instead."""
        if not self.pipeline.transformer.config.guidance_embeds:
            return entries
        strength = torch.full([1], scale, device=entries[0]["text"].device, dtype=torch.float32)
        return tuple({**entry, "guidance": strength} for entry in entries)

    @override
    def predict(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        latents = repeat_latents(rows)
        (output,) = self.pipeline.transformer(
            hidden_states=latents,
            timestep=timesteps_now(rows).to(latents.dtype) / 1000,
            guidance=gather(rows, "guidance"),
            pooled_projections=gather(rows, "pooled"),
            encoder_hidden_states=gather(rows, "text"),
            txt_ids=rows[0].extras["text_ids"],
            img_ids=rows[0].extras["image_ids"],
            joint_attention_kwargs={},
            return_dict=False,
        )
        return [guide(row, part) for row, part in by_row(rows, output)]

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        pipeline, config = self.pipeline, self.pipeline.vae.config
        latents = pipeline._unpack_latents(latents, row.height, row.width, pipeline.vae_scale_factor)  # noqa: SLF001
        unpacked: torch.Tensor = latents / config.scaling_factor + config.shift_factor
        return unpacked
