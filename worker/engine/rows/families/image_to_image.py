"""Families whose rows can begin with a picture, made noisy, and keep a part of it."""

from abc import abstractmethod
from typing import Any

import torch
from torch.nn import functional
from typing_extensions import override

from shared.catalogue.beginning import taken
from worker.engine.models.arguments import Call
from worker.engine.models.devices import dtype_of
from worker.engine.pictures.canvas import Canvas
from worker.engine.request import Edit
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.pictures import EncodedPictures, Pictures, mask_tensor, picture_tensor
from worker.engine.rows.families.plans import Noise
from worker.engine.rows.families.timesteps import noised
from worker.engine.rows.row import Known, Row


class ImageToImage(RowFamily):
    """What diffusers' image-to-image and inpainting pipelines of a family do, with a denoiser of its own.

    The canvas's latents are drawn from what the autoencoder says of them, made as noisy as the step at which
    the row begins, and where there is a mask, mixed in again after each tick, as noisy as the next.
    """

    @abstractmethod
    def pack(self, latents: torch.Tensor) -> torch.Tensor:
        """Return latents of the autoencoder as the denoiser takes them: what ``unpack`` undoes."""

    @override
    def first_step(self, steps: int, strength: float | None) -> int:
        return 0 if strength is None else steps - taken(steps, strength)

    @override
    def pictures(self, edit: Edit, canvas: Canvas | None) -> Pictures:
        if canvas is None:
            return super().pictures(edit, canvas)
        mask, channels = canvas.whole_mask(), self.pipeline.vae.config.in_channels
        return Pictures(picture_tensor(canvas.whole(), channels), None if mask is None else mask_tensor(mask))

    @override
    def encode_pictures(self, pictures: Pictures, vae: Any) -> EncodedPictures:
        if pictures.canvas is None:
            return super().encode_pictures(pictures, vae)
        (found,) = vae.encode(pictures.canvas.to(self.device, dtype_of(vae)), return_dict=False)
        mean, mask = found.mean, pictures.mask
        if mask is not None:
            mask = functional.interpolate(mask, size=mean.shape[-2:]).to(self.device, self._noise_dtype)
        return EncodedPictures(mean, found.std, mask)

    @override
    def noise(self, call: Call, edit: Edit | None, generator: torch.Generator) -> Noise:
        if edit is None:
            return super().noise(call, edit, generator)
        side = self.pipeline.vae_scale_factor
        shape = (1, self.channels, call["height"] // side, call["width"] // side)
        of_vae = dtype_of(self.pipeline.vae)
        # In the order in which the pipelines draw them.
        sample = torch.randn(shape, generator=generator, dtype=of_vae)
        latents = torch.randn(shape, generator=generator, dtype=self._noise_dtype)
        if edit.mask is not None:
            # They encode the picture without what is masked, too, for denoisers that want to be told it.
            torch.randn(shape, generator=generator, dtype=of_vae)
        return Noise(latents, None, generator, sample)

    @override
    def begin_with(self, row: Row, noise: Noise, pictures: EncodedPictures, edit: Edit) -> None:
        if pictures.mean is None or pictures.deviation is None or noise.sample is None:
            super().begin_with(row, noise, pictures, edit)
            return
        row.skip(self.first_step(row.steps, edit.strength))
        sampled = pictures.mean + pictures.deviation * noise.sample.to(self.device, non_blocking=True)
        clean, own = self.pack(sampled.to(row.latents.dtype)), row.latents
        if pictures.mask is not None:
            row.known = Known(clean, own, pictures.mask)
        row.latents = self.first_latents(row, clean, own, edit).to(self.latents_dtype)

    def first_latents(self, row: Row, clean: torch.Tensor, own: torch.Tensor, _edit: Edit) -> torch.Tensor:
        """Return what a row begins with: the picture's latents with its own noise."""
        return noised(row.scheduler, clean, own, row.timesteps[:1])

    @property
    def _noise_dtype(self) -> torch.dtype:
        """What those pipelines draw noise in."""
        dtype: torch.dtype = self.pipeline.text_encoder.dtype
        return dtype
