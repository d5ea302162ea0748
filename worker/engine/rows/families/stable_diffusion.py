"""Stable Diffusion 1 and 2, and what is distilled from them."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from typing_extensions import override

from worker.engine.rows.families.family import Call, RowFamily, by_row, gather, timesteps_now
from worker.engine.rows.families.guidance import guide
from worker.engine.rows.families.timesteps import timesteps_of
from worker.engine.rows.row import Entry, Row


class StableDiffusion(RowFamily):
    """``StableDiffusionPipeline``: a UNet over (channels, height / 8, width / 8)."""

    handled: ClassVar[frozenset[str]] = frozenset({"guidance_rescale", "clip_skip", "eta"})
    text_arguments: ClassVar[tuple[str, ...]] = ("prompt", "negative_prompt", "clip_skip")

    @override
    def is_guided(self, call: Call) -> bool:
        return call["guidance_scale"] > 1 and self.pipeline.unet.config.time_cond_proj_dim is None

    @override
    def encode(self, call: Call) -> tuple[Entry, ...]:
        guided = self.is_guided(call)
        positive, negative = self.pipeline.encode_prompt(
            call["prompt"],
            self.pipeline.device,
            1,
            guided,
            call["negative_prompt"],
            clip_skip=call["clip_skip"],
        )
        return ({"text": negative}, {"text": positive}) if guided else ({"text": positive},)

    @override
    def begin(
        self, call: Call, pipeline: Any, entries: tuple[Entry, ...], generator: list[torch.Generator]
    ) -> Row:
        timesteps = timesteps_of(pipeline, call)
        text = entries[-1]["text"]
        latents = pipeline.prepare_latents(
            1,
            pipeline.unet.config.in_channels,
            call["height"],
            call["width"],
            text.dtype,
            text.device,
            generator,
        )
        return Row(
            scheduler=pipeline.scheduler,
            timesteps=timesteps,
            latents=latents,
            entries=self._with_guidance_embedding(entries, call, latents),
            guidance=call["guidance_scale"],
            steps=call["num_inference_steps"],
            width=call["width"],
            height=call["height"],
            text_class=text.shape[1],
            step_arguments=pipeline.prepare_extra_step_kwargs(generator, call["eta"]),
            extras={"rescale": call["guidance_rescale"]},
        )

    def _with_guidance_embedding(
        self, entries: tuple[Entry, ...], call: Call, latents: torch.Tensor
    ) -> tuple[Entry, ...]:
        """Add the strength of guidance as an input, which consistency models are told instead."""
        width = self.pipeline.unet.config.time_cond_proj_dim
        if width is None:
            return entries
        strength = torch.tensor(call["guidance_scale"] - 1).repeat(1)
        embedding = self.pipeline.get_guidance_scale_embedding(strength, embedding_dim=width)
        added = {"guidance": embedding.to(latents)}
        return tuple({**entry, **added} for entry in entries)

    @override
    def predict(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        (output,) = self.pipeline.unet(
            torch.cat([latents for row in rows for latents in [_scaled(row)] * len(row.entries)]),
            timesteps_now(rows),
            encoder_hidden_states=gather(rows, "text"),
            timestep_cond=gather(rows, "guidance"),
            added_cond_kwargs=self.conditions(rows),
            return_dict=False,
        )
        return [_guided(row, part) for row, part in by_row(rows, output)]

    def conditions(self, _rows: Sequence[Row]) -> dict[str, torch.Tensor | None] | None:
        """Return what the UNet is conditioned on beside text and timestep."""
        return None

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        unpacked: torch.Tensor = latents / self.pipeline.vae.config.scaling_factor
        return unpacked

    @override
    def finish(self, row: Row, image: torch.Tensor) -> torch.Tensor:
        pipeline, text = self.pipeline, row.entries[-1]["text"]
        image, unsafe = pipeline.run_safety_checker(image, text.device, text.dtype)
        shown = None if unsafe is None else [not each for each in unsafe]
        images: torch.Tensor = pipeline.image_processor.postprocess(image, "pt", shown)
        return images[0]


def _scaled(row: Row) -> torch.Tensor:
    """Return the latents as the row's scheduler hands them to the denoiser."""
    if not hasattr(row.scheduler, "scale_model_input"):
        return row.latents
    scaled: torch.Tensor = row.scheduler.scale_model_input(row.latents, row.timestep)
    return scaled


def _guided(row: Row, output: torch.Tensor) -> torch.Tensor:
    """Return the guided prediction, rescaled where that is asked for."""
    guided = guide(row, output)
    if len(row.entries) == 1 or row.extras["rescale"] <= 0:
        return guided
    strength = row.extras["rescale"]
    rescaled: torch.Tensor = rescale_noise_cfg(guided, output[1:], strength)  # type: ignore[no-untyped-call]
    return rescaled
