"""FLUX.1."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from typing_extensions import override

from worker.engine.beside.texts import Entries, Entry
from worker.engine.models.arguments import Call
from worker.engine.rows.families.batches import gather, repeat_latents, timesteps_now
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.timesteps import flow_sigmas, shift_of
from worker.engine.rows.row import Row
from worker.engine.stages.inputs import Inputs


class Flux(RowFamily):
    """``FluxPipeline``: a transformer over packed latents, (1, tokens, channels)."""

    packed: ClassVar[int] = 4
    guidance_argument: ClassVar = "true_cfg_scale"
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
    def encode(self, call: Call) -> Entries:
        positive = self._encode(call, call["prompt"], call["prompt_2"])
        if not self.is_guided(call):
            return (positive,)
        return self._encode(call, call["negative_prompt"], call["negative_prompt_2"]), positive

    def _encode(self, call: Call, prompt: str, prompt_2: str | None) -> Entry:
        text, pooled, _ = self.pipeline.encode_prompt(
            prompt, prompt_2, self.device, max_sequence_length=call["max_sequence_length"]
        )
        return {"text": text, "pooled": pooled}

    @override
    def schedule(self, call: Call) -> dict[str, Any]:
        mu = shift_of(self.pipeline, self.tokens(call))
        return {"sigmas": flow_sigmas(self.pipeline, call), "mu": mu}

    @override
    def extras(self, call: Call, entries: Entries, ids: torch.Tensor | None) -> dict[str, Any]:
        text = entries[-1]["text"]
        return {"image_ids": ids, "text_ids": text.new_zeros(text.shape[1], 3)}

    @override
    def conditioned(self, call: Call, entries: Entries) -> Entries:
        # Distilled models are told the strength of guidance as an input.
        if not self.pipeline.transformer.config.guidance_embeds:
            return entries
        strength = torch.full(
            [1], call["guidance_scale"], device=entries[0]["text"].device, dtype=torch.float32
        )
        return tuple({**entry, "guidance": strength} for entry in entries)

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        latents, extras = repeat_latents(rows), rows[0].extras
        return Inputs(
            {
                "latents": latents,
                "timestep": timesteps_now(rows).to(latents.dtype) / 1000,
                **gather(rows, "text", "pooled", "guidance"),
            },
            {"text_ids": extras["text_ids"], "image_ids": extras["image_ids"]},
        )

    @override
    def forward(self, inputs: Inputs) -> torch.Tensor:
        output: torch.Tensor
        given, shared = inputs.batched, inputs.shared
        (output,) = self.pipeline.transformer(
            hidden_states=given["latents"],
            timestep=given["timestep"],
            guidance=given.get("guidance"),
            pooled_projections=given["pooled"],
            encoder_hidden_states=given["text"],
            txt_ids=shared["text_ids"],
            img_ids=shared["image_ids"],
            joint_attention_kwargs={},
            return_dict=False,
        )
        return output

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        pipeline, config = self.pipeline, self.pipeline.vae.config
        latents = pipeline._unpack_latents(latents, row.height, row.width, pipeline.vae_scale_factor)  # noqa: SLF001
        unpacked: torch.Tensor = latents / config.scaling_factor + config.shift_factor
        return unpacked
