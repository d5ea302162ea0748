"""Stable Diffusion XL, and what is distilled from it."""

from typing import ClassVar

import torch
from typing_extensions import override

from worker.engine.beside.texts import Entries, Entry
from worker.engine.models.arguments import Call
from worker.engine.models.loading import LoadedModel
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.stable_diffusion import StableDiffusion
from worker.engine.rows.row import Row


class StableDiffusionXL(StableDiffusion):
    """``StableDiffusionXLPipeline``: a UNet that is also told the pooled text and the size."""

    handled: ClassVar = StableDiffusion.handled | {"prompt_2", "negative_prompt_2"}
    conditions: ClassVar = ("text_embeds", "time_ids")
    text_arguments: ClassVar[tuple[str, ...]] = (
        "prompt",
        "prompt_2",
        "negative_prompt",
        "negative_prompt_2",
        "clip_skip",
    )

    def __init__(self, model: LoadedModel) -> None:
        super().__init__(model)
        vae = self.pipeline.vae
        if vae.dtype == torch.float16 and vae.config.force_upcast:
            # It overflows in half precision; the pipeline's own call converts it back and forth each time.
            vae.to(torch.float32)

    @override
    def encode(self, call: Call) -> Entries:
        guided = self.is_guided(call)
        positive, negative, pooled, negative_pooled = self.pipeline.encode_prompt(
            prompt=call["prompt"],
            prompt_2=call["prompt_2"],
            device=self.device,
            do_classifier_free_guidance=guided,
            negative_prompt=call["negative_prompt"],
            negative_prompt_2=call["negative_prompt_2"],
            clip_skip=call["clip_skip"],
        )
        entry = {"text": positive, "text_embeds": pooled}
        return ({"text": negative, "text_embeds": negative_pooled}, entry) if guided else (entry,)

    @override
    def conditioned(self, call: Call, entries: Entries) -> Entries:
        sizes = self._sizes(call, entries[-1])
        return tuple({**entry, "time_ids": sizes} for entry in super().conditioned(call, entries))

    def _sizes(self, call: Call, entry: Entry) -> torch.Tensor:
        """Return original size, crop and target size, (1, 6)."""
        size, second = (call["height"], call["width"]), self.pipeline.text_encoder_2
        width = entry["text_embeds"].shape[-1] if second is None else second.config.projection_dim
        sizes: torch.Tensor = self.pipeline._get_add_time_ids(  # noqa: SLF001
            size, (0, 0), size, dtype=entry["text"].dtype, text_encoder_projection_dim=int(width)
        )
        return sizes.to(entry["text"].device)

    @override
    def pack(self, latents: torch.Tensor) -> torch.Tensor:
        scale: float = self.pipeline.vae.config.scaling_factor
        spread = self._spread(latents)
        if spread is None:
            return scale * latents
        means, deviations = spread
        return (latents - means) * scale / deviations

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        # What the autoencoder computes in is what its pipeline's own call would have converted it to.
        latents = latents.to(next(vae.post_quant_conv.parameters()).dtype)
        scale: float = vae.config.scaling_factor
        spread = self._spread(latents)
        if spread is None:
            return latents / scale
        means, deviations = spread
        return latents * deviations / scale + means

    def _spread(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return means and deviations of the autoencoder's latents, (1, channels, 1, 1), if it has some."""
        config = self.pipeline.vae.config
        mean, deviation = config.get("latents_mean"), config.get("latents_std")
        if mean is None or deviation is None:
            return None
        means, deviations = (torch.tensor(each).view(1, -1, 1, 1).to(latents) for each in (mean, deviation))
        return means, deviations

    @override
    def finish(self, row: Row, image: torch.Tensor) -> torch.Tensor:
        if self.pipeline.watermark is not None:
            image = self.pipeline.watermark.apply_watermark(image)
        # Not as its parent class does it: this pipeline has no safety checker.
        return RowFamily.finish(self, row, image)
