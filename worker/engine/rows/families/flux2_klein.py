"""FLUX.2 [klein]."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from typing_extensions import override

from worker.engine.rows.families.family import Call, RowFamily, by_row, gather, repeat_latents, timesteps_now
from worker.engine.rows.families.guidance import guide
from worker.engine.rows.families.timesteps import flow_sigmas, noise_from, timesteps_of
from worker.engine.rows.row import Entry, Row


class Flux2Klein(RowFamily):
    """``Flux2KleinPipeline``: a transformer over packed latents, (1, tokens, channels)."""

    handled: ClassVar = frozenset({"max_sequence_length"})
    text_arguments: ClassVar = ("prompt", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        return call["guidance_scale"] > 1 and not self.pipeline.config.is_distilled

    @override
    def encode(self, call: Call) -> tuple[Entry, ...]:
        # The pipeline takes no negative prompt: guidance leads away from no words at all.
        prompts = ("", call["prompt"]) if self.is_guided(call) else (call["prompt"],)
        return tuple(self._encode(prompt, call) for prompt in prompts)

    def _encode(self, prompt: str, call: Call) -> Entry:
        text, text_ids = self.pipeline.encode_prompt(
            prompt,
            max_sequence_length=call["max_sequence_length"],
            text_encoder_out_layers=call["text_encoder_out_layers"],
        )
        return {"text": text, "text_ids": text_ids}

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
        mu = compute_empirical_mu(latents.shape[1], call["num_inference_steps"])
        timesteps = timesteps_of(pipeline, call, sigmas=flow_sigmas(pipeline, call), mu=mu)
        if hasattr(pipeline.scheduler, "set_begin_index"):
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
            text_class=text.shape[1],
            step_arguments=noise_from(pipeline.scheduler, generator),
            extras={"image_ids": image_ids},
        )

    @override
    def predict(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        latents = repeat_latents(rows)
        first = rows[0]
        (output,) = self.pipeline.transformer(
            hidden_states=latents.to(self.pipeline.transformer.dtype),
            timestep=timesteps_now(rows).to(latents.dtype) / 1000,
            guidance=None,
            encoder_hidden_states=gather(rows, "text"),
            txt_ids=first.entries[0]["text_ids"],
            img_ids=first.extras["image_ids"],
            return_dict=False,
        )
        return [guide(row, part) for row, part in by_row(rows, output)]

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
