"""Stable Diffusion 3."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from typing_extensions import override

from worker.engine.beside.texts import Entries
from worker.engine.models.arguments import Call
from worker.engine.rows.families.batches import gather, repeat_latents, timesteps_now
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.timesteps import shift_of
from worker.engine.rows.row import Row
from worker.engine.stages.inputs import Inputs

PROMPTS = ("prompt", "prompt_2", "prompt_3", "negative_prompt", "negative_prompt_2", "negative_prompt_3")


class StableDiffusion3(RowFamily):
    """``StableDiffusion3Pipeline``: a transformer over (channels, height / 8, width / 8)."""

    handled: ClassVar = frozenset({*PROMPTS, "clip_skip", "max_sequence_length", "mu"})
    schedule_arguments: ClassVar = ("mu",)
    text_arguments: ClassVar = (*PROMPTS, "clip_skip", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        guided: bool = call["guidance_scale"] > 1
        return guided

    @override
    def encode(self, call: Call) -> Entries:
        guided = self.is_guided(call)
        positive, negative, pooled, negative_pooled = self.pipeline.encode_prompt(
            **{name: call[name] for name in self.text_arguments},
            device=self.device,
            do_classifier_free_guidance=guided,
        )
        entry = {"text": positive, "pooled": pooled}
        return ({"text": negative, "pooled": negative_pooled}, entry) if guided else (entry,)

    @override
    def schedule(self, call: Call) -> dict[str, Any]:
        # Where it is asked for, or the scheduler wants one for the size.
        if call["mu"] is not None:
            return {"mu": call["mu"]}
        if not self.pipeline.scheduler.config.get("use_dynamic_shifting"):
            return {}
        tokens = self.tokens(call, self.pipeline.transformer.config.patch_size)
        return {"mu": shift_of(self.pipeline, tokens, max_shift=1.16)}

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        given = {"latents": repeat_latents(rows), "timestep": timesteps_now(rows)}
        return Inputs({**given, **gather(rows, "text", "pooled")})

    @override
    def forward(self, inputs: Inputs) -> torch.Tensor:
        output: torch.Tensor
        given = inputs.batched
        (output,) = self.pipeline.transformer(
            hidden_states=given["latents"],
            timestep=given["timestep"],
            encoder_hidden_states=given["text"],
            pooled_projections=given["pooled"],
            return_dict=False,
        )
        return output

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        config = self.pipeline.vae.config
        unpacked: torch.Tensor = latents / config.scaling_factor + config.shift_factor
        return unpacked
