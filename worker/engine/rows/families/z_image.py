"""Z-Image."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers.pipelines.z_image.pipeline_z_image import get_default_z_image_sigmas
from typing_extensions import override

from worker.engine.beside.texts import Entries
from worker.engine.models.arguments import Call
from worker.engine.models.devices import dtype_of
from worker.engine.rows.families.batches import repeat_latents, timesteps_now
from worker.engine.rows.families.image_to_image import ImageToImage
from worker.engine.rows.families.text_length import text_class
from worker.engine.rows.families.timesteps import shift_of
from worker.engine.rows.row import Row
from worker.engine.stages.inputs import Inputs
from worker.engine.stages.modes import FewerLayers, Mode


class ZImage(ImageToImage):
    """``ZImagePipeline``: a transformer over lists of images and of texts, which it pads and masks itself."""

    encodes_together: ClassVar = False
    handled: ClassVar = frozenset({"max_sequence_length"})
    has_fixed_shapes: ClassVar = False
    text_arguments: ClassVar = ("prompt", "negative_prompt", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        guided: bool = call["guidance_scale"] > 0
        return guided

    @override
    def encode(self, call: Call) -> Entries:
        # The positive text comes first in this family; (tokens, width) each.
        positive, negative = self.pipeline.encode_prompt(
            prompt=call["prompt"],
            device=self.device,
            negative_prompt=call["negative_prompt"],
            do_classifier_free_guidance=self.is_guided(call),
            max_sequence_length=call["max_sequence_length"],
        )
        return tuple({"text": text} for text in (*positive, *negative))

    @override
    def text_modes(self) -> tuple[Mode, ...]:
        # What the last layer but one says is read.
        return (FewerLayers(len(self.pipeline.text_encoder.layers) - 1),)

    @override
    def schedule(self, call: Call) -> dict[str, Any]:
        sigmas = get_default_z_image_sigmas(call["num_inference_steps"])
        return {"sigmas": sigmas, "mu": shift_of(self.pipeline, self.tokens(call))}

    @property
    @override
    def latents_dtype(self) -> torch.dtype:
        return torch.float32

    @override
    def text_class(self, entries: Entries) -> int:
        return max(text_class(len(entry["text"])) for entry in entries)

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        latents = repeat_latents(rows).to(dtype_of(self.denoising)).unsqueeze(2)
        given = {"latents": latents, "timestep": (1000 - timesteps_now(rows)) / 1000}
        return Inputs(given, {"texts": [entry["text"] for row in rows for entry in row.entries]})

    @override
    def forward(self, inputs: Inputs) -> torch.Tensor:
        latents, timestep = inputs.batched["latents"], inputs.batched["timestep"]
        texts = inputs.shared["texts"]
        (output,) = self.pipeline.transformer(list(latents.unbind()), timestep, texts, return_dict=False)
        return torch.stack(output)

    @override
    def guided(self, row: Row, output: torch.Tensor) -> torch.Tensor:
        """Lead from the second entry past the first; (1 or 2, channels, 1, …) to (1, channels, 1, …)."""
        positive, *negative = output.float()
        guided = positive + row.guidance * (positive - negative[0]) if negative else positive
        led: torch.Tensor = -guided.transpose(0, 1)
        return led

    @override
    def first_step(self, steps: int, strength: float | None) -> int:
        # Rounded the other way than in other families.
        left_out = 0.0 if strength is None else max(steps - min(steps * strength, steps), 0.0)
        return min(int(left_out), steps - 1)

    @override
    def pack(self, latents: torch.Tensor) -> torch.Tensor:
        config = self.pipeline.vae.config
        packed: torch.Tensor = (latents - config.shift_factor) * config.scaling_factor
        return packed

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        unpacked: torch.Tensor = (
            latents.to(dtype_of(vae)) / vae.config.scaling_factor + vae.config.shift_factor
        )
        return unpacked
