"""Stable Diffusion 1 and 2, and what is distilled from them."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from typing_extensions import override

from worker.engine.beside.texts import Entries
from worker.engine.models.arguments import Call
from worker.engine.request import Edit
from worker.engine.rows.families.batches import gather, timesteps_now
from worker.engine.rows.families.image_to_image import ImageToImage
from worker.engine.rows.row import Row
from worker.engine.stages.inputs import Inputs


class StableDiffusion(ImageToImage):
    """``StableDiffusionPipeline``: a UNet over (channels, height / 8, width / 8)."""

    handled: ClassVar[frozenset[str]] = frozenset({"guidance_rescale", "clip_skip", "eta"})
    text_arguments: ClassVar[tuple[str, ...]] = ("prompt", "negative_prompt", "clip_skip")
    conditions: ClassVar[tuple[str, ...]] = ()
    """What the UNet is conditioned on beside text and timestep, by its own names."""

    @override
    def is_guided(self, call: Call) -> bool:
        return call["guidance_scale"] > 1 and self.pipeline.unet.config.time_cond_proj_dim is None

    @override
    def encode(self, call: Call) -> Entries:
        guided = self.is_guided(call)
        positive, negative = self.pipeline.encode_prompt(
            call["prompt"],
            self.device,
            1,
            guided,
            call["negative_prompt"],
            clip_skip=call["clip_skip"],
        )
        return ({"text": negative}, {"text": positive}) if guided else ({"text": positive},)

    @property
    @override
    def denoising(self) -> torch.nn.Module:
        network: torch.nn.Module = self.pipeline.unet
        return network

    @override
    def extras(self, call: Call, entries: Entries, ids: torch.Tensor | None) -> dict[str, Any]:
        return {"rescale": call["guidance_rescale"]}

    @override
    def step_arguments(self, call: Call, pipeline: Any, generator: list[torch.Generator]) -> dict[str, Any]:
        arguments: dict[str, Any] = pipeline.prepare_extra_step_kwargs(generator, call["eta"])
        return arguments

    @override
    def conditioned(self, call: Call, entries: Entries) -> Entries:
        # Consistency models are told the strength of guidance as an input.
        width = self.pipeline.unet.config.time_cond_proj_dim
        if width is None:
            return entries
        strength = torch.tensor(call["guidance_scale"] - 1).repeat(1)
        embedding = self.pipeline.get_guidance_scale_embedding(strength, embedding_dim=width)
        added = {"guidance": embedding.to(entries[-1]["text"])}
        return tuple({**entry, **added} for entry in entries)

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        latents = torch.cat([latents for row in rows for latents in [_scaled(row)] * len(row.entries)])
        given = {"latents": latents, "timestep": timesteps_now(rows)}
        return Inputs({**given, **gather(rows, "text", "guidance", *self.conditions)})

    @override
    def forward(self, inputs: Inputs) -> torch.Tensor:
        output: torch.Tensor
        given = inputs.batched
        (output,) = self.pipeline.unet(
            given["latents"],
            given["timestep"],
            encoder_hidden_states=given["text"],
            timestep_cond=given.get("guidance"),
            added_cond_kwargs={name: given[name] for name in self.conditions} or None,
            return_dict=False,
        )
        return output

    @override
    def guided(self, row: Row, output: torch.Tensor) -> torch.Tensor:
        """Return the guided prediction, rescaled where that is asked for."""
        guided, strength = super().guided(row, output), row.extras["rescale"]
        if len(row.entries) == 1 or strength <= 0:
            return guided
        rescaled: torch.Tensor = rescale_noise_cfg(guided, output[1:], strength)  # type: ignore[no-untyped-call]
        return rescaled

    @override
    def first_latents(self, row: Row, clean: torch.Tensor, own: torch.Tensor, edit: Edit) -> torch.Tensor:
        if edit.mask is None or edit.strength != 1.0:
            return super().first_latents(row, clean, own, edit)
        # Of this family the inpainting pipelines then begin with nothing but noise.
        noise: torch.Tensor = own * row.scheduler.init_noise_sigma
        return noise

    @override
    def pack(self, latents: torch.Tensor) -> torch.Tensor:
        packed: torch.Tensor = self.pipeline.vae.config.scaling_factor * latents
        return packed

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
