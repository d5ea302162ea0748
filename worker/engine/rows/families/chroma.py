"""Chroma."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import override

from worker.engine.beside.texts import Entries
from worker.engine.models.arguments import Call
from worker.engine.rows.families.batches import gather, repeat_latents, timesteps_now
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.timesteps import shift_of
from worker.engine.rows.row import Row
from worker.engine.stages.inputs import Inputs


class Chroma(RowFamily):
    """``ChromaPipeline``: a transformer over packed latents, (1, tokens, channels), and masked text."""

    packed: ClassVar[int] = 4
    handled: ClassVar = frozenset({"max_sequence_length"})
    text_arguments: ClassVar = ("prompt", "negative_prompt", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        guided: bool = call["guidance_scale"] > 1
        return guided

    @override
    def encode(self, call: Call) -> Entries:
        # All texts are padded to the same length, and each has a mask of its own, (1, tokens).
        guided = self.is_guided(call)
        text, _, mask, negative, _, negative_mask = self.pipeline.encode_prompt(
            prompt=call["prompt"],
            negative_prompt=call["negative_prompt"],
            device=self.device,
            do_classifier_free_guidance=guided,
            max_sequence_length=call["max_sequence_length"],
        )
        entry = {"text": text, "mask": mask}
        return ({"text": negative, "mask": negative_mask}, entry) if guided else (entry,)

    @override
    def schedule(self, call: Call) -> dict[str, Any]:
        steps = call["num_inference_steps"]
        mu = shift_of(self.pipeline, self.tokens(call))
        return {"sigmas": np.linspace(1.0, 1 / steps, steps), "mu": mu}

    @override
    def extras(self, call: Call, entries: Entries, ids: torch.Tensor | None) -> dict[str, Any]:
        text = entries[-1]["text"]
        return {"image_ids": ids, "text_ids": text.new_zeros(text.shape[1], 3)}

    @override
    def conditioned(self, call: Call, entries: Entries) -> Entries:
        # Numbers and no booleans, which attention adds to its scores, as in the pipeline's own call.
        image = entries[0]["mask"].new_ones(1, self.tokens(call))
        return tuple({**entry, "mask": torch.cat([entry["mask"], image], 1)} for entry in entries)

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        latents, extras = repeat_latents(rows), rows[0].extras
        return Inputs(
            {
                "latents": latents,
                "timestep": timesteps_now(rows).to(latents.dtype) / 1000,
                **gather(rows, "text", "mask"),
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
            encoder_hidden_states=given["text"],
            txt_ids=shared["text_ids"],
            img_ids=shared["image_ids"],
            attention_mask=given["mask"],
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
