"""FLUX.2 [klein]."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from typing_extensions import override

from worker.engine.beside.texts import Entries, Entry
from worker.engine.models.arguments import Call
from worker.engine.rows.families.family import RowFamily, dtype_of, gather, repeat_latents, timesteps_now
from worker.engine.rows.families.timesteps import flow_sigmas
from worker.engine.rows.row import Row
from worker.engine.stages.inputs import Inputs
from worker.engine.stages.modes import FewerLayers, Mode


class Flux2Klein(RowFamily):
    """``Flux2KleinPipeline``: a transformer over packed latents, (1, tokens, channels)."""

    packed: ClassVar[int] = 4
    handled: ClassVar = frozenset({"max_sequence_length"})
    text_arguments: ClassVar = ("prompt", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        return call["guidance_scale"] > 1 and not self.pipeline.config.is_distilled

    @override
    def encode(self, call: Call) -> Entries:
        # The pipeline takes no negative prompt: guidance leads away from no words at all.
        words = call["prompt"]
        none = [""] * len(words) if isinstance(words, list) else ""
        prompts = (none, words) if self.is_guided(call) else (words,)
        return tuple(self._encode(prompt, call) for prompt in prompts)

    def _encode(self, prompt: str | list[str], call: Call) -> Entry:
        text, text_ids = self.pipeline.encode_prompt(
            prompt,
            self.device,
            max_sequence_length=call["max_sequence_length"],
            text_encoder_out_layers=call["text_encoder_out_layers"],
        )
        return {"text": text, "text_ids": text_ids}

    @override
    def text_modes(self) -> tuple[Mode, ...]:
        return (FewerLayers(max(self.call({})["text_encoder_out_layers"])),)

    @override
    def schedule(self, call: Call) -> dict[str, Any]:
        mu = compute_empirical_mu(self.tokens(call), call["num_inference_steps"])
        return {"sigmas": flow_sigmas(self.pipeline, call), "mu": mu}

    @override
    def extras(self, call: Call, entries: Entries, ids: torch.Tensor | None) -> dict[str, Any]:
        return {"image_ids": ids}

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        latents, first = repeat_latents(rows), rows[0]
        return Inputs(
            {
                "latents": latents.to(dtype_of(self.denoising)),
                "timestep": timesteps_now(rows).to(latents.dtype) / 1000,
                **gather(rows, "text"),
            },
            {"text_ids": first.entries[0]["text_ids"], "image_ids": first.extras["image_ids"]},
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
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        pipeline, vae = self.pipeline, self.pipeline.vae
        packed = 2 * pipeline.vae_scale_factor
        latents = pipeline._unpack_latents_with_ids(  # noqa: SLF001
            latents, row.extras["image_ids"], row.height // packed, row.width // packed
        )
        mean = vae.bn.running_mean.view(1, -1, 1, 1).to(latents)
        variance = vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps
        latents = latents * torch.sqrt(variance).to(latents) + mean
        unpacked: torch.Tensor = pipeline._unpatchify_latents(latents)  # noqa: SLF001
        return unpacked
