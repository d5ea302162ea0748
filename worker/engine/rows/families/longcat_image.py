"""LongCat-Image."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import override

from worker.engine.beside.texts import Entries, Entry
from worker.engine.models.arguments import Call
from worker.engine.models.devices import dtype_of
from worker.engine.models.loading import LoadedModel
from worker.engine.rows.families.batches import gather, repeat_latents, timesteps_now
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.timesteps import shift_of
from worker.engine.rows.row import Row
from worker.engine.stages.inputs import Inputs

TINY = 1e-8
"""What keeps a division by the length of nothing finite; as in the pipeline's call."""


class LongCatImage(RowFamily):
    """``LongCatImagePipeline``: a transformer over packed latents, (1, tokens, channels).

    Only where the entry says that prompts are not rewritten: the pipeline would have a language model write
    another prompt first, and then draw that.
    """

    packed: ClassVar[int] = 4
    handled: ClassVar = frozenset({"enable_cfg_renorm", "cfg_renorm_min", "enable_prompt_rewrite"})

    @override
    @classmethod
    def handles(cls, model: LoadedModel) -> bool:
        return super().handles(model) and model.spec.arguments.get("enable_prompt_rewrite") is False

    @override
    def is_guided(self, call: Call) -> bool:
        guided: bool = call["guidance_scale"] > 1
        return guided

    @override
    def encode(self, call: Call) -> Entries:
        words, negative = call["prompt"], call["negative_prompt"]
        positive = self._encode(words)
        if not self.is_guided(call):
            return (positive,)
        if negative is None:
            negative = [""] * len(words) if isinstance(words, list) else ""
        return self._encode(negative), positive

    def _encode(self, prompt: str | list[str]) -> Entry:
        # Every text is padded to the same length, and nothing is masked.
        text, _ = self.pipeline.encode_prompt(prompt)
        return {"text": text}

    @override
    def schedule(self, call: Call) -> dict[str, Any]:
        steps = call["num_inference_steps"]
        mu = shift_of(self.pipeline, self.tokens(call))
        return {"sigmas": np.linspace(1.0, 1 / steps, steps), "mu": mu}

    @override
    def extras(self, call: Call, entries: Entries, ids: torch.Tensor | None) -> dict[str, Any]:
        # (tokens, 3): 0 for text, then the place, twice.
        places = torch.arange(entries[-1]["text"].shape[1], device=self.device, dtype=torch.float32)
        least = call["cfg_renorm_min"] if call["enable_cfg_renorm"] else None
        text_ids = torch.stack([torch.zeros_like(places), places, places], 1)
        return {"image_ids": ids, "text_ids": text_ids, "least": least}

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        latents, extras = repeat_latents(rows), rows[0].extras
        return Inputs(
            {
                "latents": latents,
                "timestep": timesteps_now(rows).to(latents.dtype) / 1000,
                **gather(rows, "text"),
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
            guidance=None,
            encoder_hidden_states=given["text"],
            txt_ids=shared["text_ids"],
            img_ids=shared["image_ids"],
            return_dict=False,
        )
        return output

    @override
    def guided(self, row: Row, output: torch.Tensor) -> torch.Tensor:
        """Return the guided prediction, each token no longer than the unguided one unless that is off."""
        guided, least = super().guided(row, output), row.extras["least"]
        if len(row.entries) == 1 or least is None:
            return guided
        was = torch.norm(output[1:], dim=-1, keepdim=True)
        now = torch.norm(guided, dim=-1, keepdim=True)
        led: torch.Tensor = guided * (was / (now + TINY)).clamp(min=least, max=1.0)
        return led

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        pipeline, vae = self.pipeline, self.pipeline.vae
        latents = pipeline._unpack_latents(latents, row.height, row.width, pipeline.vae_scale_factor)  # noqa: SLF001
        unpacked: torch.Tensor = latents / vae.config.scaling_factor + vae.config.shift_factor
        return unpacked.to(dtype_of(vae))
