"""FLUX.2 [klein]."""

from collections.abc import Sequence
from math import sqrt
from typing import Any, ClassVar, Final

import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from PIL import Image
from torch.nn import functional
from typing_extensions import override

from worker.engine.beside.texts import Entries, Entry
from worker.engine.models.arguments import Call
from worker.engine.models.devices import dtype_of
from worker.engine.pictures.canvas import Canvas, on_white
from worker.engine.request import Edit
from worker.engine.rows.families.batches import gather, repeat_latents, timesteps_now
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.pictures import EncodedPictures, Pictures, Size, mask_tensor, picture_tensor
from worker.engine.rows.families.plans import Noise
from worker.engine.rows.families.timesteps import flow_sigmas, noised
from worker.engine.rows.row import Known, Row
from worker.engine.stages.inputs import Inputs
from worker.engine.stages.modes import FewerLayers, Mode

MOST_REFERENCE_PX: Final = 1024 * 1024
"""The area of a picture to look at; a larger one is scaled down. Source: the pipeline's own call."""


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
    def pictures(self, edit: Edit, canvas: Canvas | None) -> Pictures:
        if canvas is None:
            return Pictures(references=tuple(self._reference(picture) for picture in edit.images))
        # It looks at the first one as it lies on the canvas, so that both have the same places.
        whole, mask = canvas.whole(), canvas.whole_mask()
        return Pictures(
            picture_tensor(whole, channels=3),
            None if mask is None else mask_tensor(mask),
            tuple(self._reference(picture) for picture in (whole, *edit.images[1:])),
        )

    def _reference(self, picture: Image.Image) -> torch.Tensor:
        """Return a picture to look at as the pipeline's own call prepares it, but for what is too small."""
        picture, patch = on_white(picture), self._patch_px
        area_px = picture.width * picture.height
        if area_px > MOST_REFERENCE_PX:
            scale = sqrt(MOST_REFERENCE_PX / area_px)
            size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        width, height = (max(patch, side // patch * patch) for side in picture.size)
        prepared: torch.Tensor = self.pipeline.image_processor.preprocess(
            picture, height=height, width=width, resize_mode="crop"
        )
        return prepared

    @property
    def _patch_px(self) -> int:
        """Pixels of a token's side."""
        side: int = 2 * self.pipeline.vae_scale_factor
        return side

    @override
    def encode_pictures(self, pictures: Pictures, vae: Any) -> EncodedPictures:
        tokens, ids = self._tokens(pictures.references, vae)
        sizes = tuple(_size(each) for each in pictures.references)
        if pictures.canvas is None or pictures.mask is None:
            return EncodedPictures(tokens=tokens, ids=ids, sizes=sizes)
        width, height = (side // self._patch_px for side in _size(pictures.canvas))
        # Where the first one is the canvas, not scaled down, its tokens are the canvas's.
        same = sizes[0] == _size(pictures.canvas)
        known = tokens[:, : width * height] if same else self._tokens((pictures.canvas,), vae)[0]
        mask = functional.interpolate(pictures.mask, size=(height, width), mode="bilinear")
        mask = mask.flatten(2).transpose(1, 2).to(known)
        return EncodedPictures(known, mask=mask, tokens=tokens, ids=ids, sizes=sizes)

    def _tokens(self, pictures: tuple[torch.Tensor, ...], vae: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
        """Return pictures as tokens, (1, tokens, channels), and where they are, (1, tokens, 4)."""
        pipeline = self._pipeline_with(vae=vae)
        tokens, ids = pipeline.prepare_image_latents(list(pictures), 1, None, self.device, dtype_of(vae))
        return tokens, ids

    @override
    def begin_with(self, row: Row, noise: Noise, pictures: EncodedPictures, edit: Edit) -> None:
        own, mean, mask = row.latents, pictures.mean, pictures.mask
        row.references, row.extras = pictures.sizes, {**row.extras, "looked_at": pictures}
        if mean is not None and mask is not None:
            row.known = Known(mean.to(own), own, mask.to(own))
            row.latents = noised(row.scheduler, row.known.latents, own, row.timesteps[:1])

    @override
    def extras(self, call: Call, entries: Entries, ids: torch.Tensor | None) -> dict[str, Any]:
        return {"image_ids": ids}

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        latents, first = repeat_latents(rows), rows[0]
        own, ids = latents.shape[1], first.extras["image_ids"]
        if first.references:
            ids = torch.cat([ids, first.extras["looked_at"].ids], dim=1)
            looked_at = [row.extras["looked_at"].tokens for row in rows for _ in row.entries]
            latents = torch.cat([latents, torch.cat(looked_at)], dim=1)
        return Inputs(
            {
                "latents": latents.to(dtype_of(self.denoising)),
                "timestep": timesteps_now(rows).to(latents.dtype) / 1000,
                **gather(rows, "text"),
            },
            {"text_ids": first.entries[0]["text_ids"], "image_ids": ids, "own": own},
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
        return output[:, : shared["own"]]

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


def _size(picture: torch.Tensor) -> Size:
    """Return the size of a picture, (…, height, width)."""
    return picture.shape[-1], picture.shape[-2]
