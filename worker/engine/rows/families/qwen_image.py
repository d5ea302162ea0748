"""Qwen-Image."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import override

from worker.engine.rows.families.family import Call, RowFamily, by_row, gather, repeat_latents, timesteps_now
from worker.engine.rows.families.guidance import guide
from worker.engine.rows.families.text_length import text_class
from worker.engine.rows.families.timesteps import noise_from, shift_of, timesteps_of
from worker.engine.rows.row import Entry, Row


class QwenImage(RowFamily):
    """``QwenImagePipeline``: a transformer over packed latents, (1, tokens, channels), and masked text."""

    handled: ClassVar = frozenset({"true_cfg_scale", "max_sequence_length"})
    text_arguments: ClassVar = ("prompt", "negative_prompt", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        return call["true_cfg_scale"] > 1 and call["negative_prompt"] is not None

    @override
    def encode(self, call: Call) -> tuple[Entry, ...]:
        prompts = (call["negative_prompt"], call["prompt"]) if self.is_guided(call) else (call["prompt"],)
        return tuple(self._encode(prompt, call["max_sequence_length"]) for prompt in prompts)

    def _encode(self, prompt: str, max_tokens: int) -> Entry:
        # The mask is of other prompts' lengths, and here is only one.
        text, _ = self.pipeline.encode_prompt(prompt, max_sequence_length=max_tokens)
        return {"text": text}

    @override
    def begin(
        self, call: Call, pipeline: Any, entries: tuple[Entry, ...], generator: list[torch.Generator]
    ) -> Row:
        text = entries[-1]["text"]
        latents = pipeline.prepare_latents(
            1,
            pipeline.transformer.config.in_channels // 4,
            call["height"],
            call["width"],
            text.dtype,
            text.device,
            generator,
        )
        steps, packed = call["num_inference_steps"], 2 * pipeline.vae_scale_factor
        timesteps = timesteps_of(
            pipeline,
            call,
            sigmas=np.linspace(1.0, 1 / steps, steps),
            mu=shift_of(pipeline, latents.shape[1]),
        )
        pipeline.scheduler.set_begin_index(0)
        return Row(
            scheduler=pipeline.scheduler,
            timesteps=timesteps,
            latents=latents,
            entries=self._with_guidance(entries, call["guidance_scale"]),
            guidance=call["true_cfg_scale"],
            steps=steps,
            width=call["width"],
            height=call["height"],
            text_class=max(text_class(entry["text"].shape[1]) for entry in entries),
            step_arguments=noise_from(pipeline.scheduler, generator),
            extras={"shape": [(1, call["height"] // packed, call["width"] // packed)]},
        )

    def _with_guidance(self, entries: tuple[Entry, ...], scale: float | None) -> tuple[Entry, ...]:
        """Add the strength of guidance as an input, which distilled models are told."""
        if not self.pipeline.transformer.config.guidance_embeds:
            return entries
        strength = torch.full([1], scale or 0.0, device=entries[0]["text"].device, dtype=torch.float32)
        return tuple({**entry, "guidance": strength} for entry in entries)

    @override
    def predict(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        latents = repeat_latents(rows)
        text, mask = _padded([entry["text"] for row in rows for entry in row.entries])
        (output,) = self.pipeline.transformer(
            hidden_states=latents,
            timestep=timesteps_now(rows).to(latents.dtype) / 1000,
            guidance=gather(rows, "guidance"),
            encoder_hidden_states_mask=mask,
            encoder_hidden_states=text,
            img_shapes=[rows[0].extras["shape"]] * len(latents),
            attention_kwargs={},
            return_dict=False,
        )
        return [_guided(row, part) for row, part in by_row(rows, output)]

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        pipeline, vae = self.pipeline, self.pipeline.vae
        latents = pipeline._unpack_latents(latents, row.height, row.width, pipeline.vae_scale_factor)  # noqa: SLF001
        latents = latents.to(vae.dtype)
        shape = (1, vae.config.z_dim, 1, 1, 1)
        mean = torch.tensor(vae.config.latents_mean).view(shape).to(latents)
        inverse = 1.0 / torch.tensor(vae.config.latents_std).view(shape).to(latents)
        unpacked: torch.Tensor = latents / inverse + mean
        return unpacked

    @override
    def finish(self, row: Row, image: torch.Tensor) -> torch.Tensor:
        # The autoencoder is one of videos.
        return super().finish(row, image[:, :, 0])


def _padded(texts: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return texts, (1, tokens, width) each, as one batch and the mask of what is text where they differ."""
    longest = max(text.shape[1] for text in texts)
    if all(text.shape[1] == longest for text in texts):
        return torch.cat(texts), None
    batch = torch.cat([torch.nn.functional.pad(text, (0, 0, 0, longest - text.shape[1])) for text in texts])
    lengths = torch.tensor([text.shape[1] for text in texts], device=batch.device)
    return batch, torch.arange(longest, device=batch.device) < lengths[:, None]


def _guided(row: Row, output: torch.Tensor) -> torch.Tensor:
    """Return the guided prediction, each token as long as the unguided one."""
    if len(row.entries) == 1:
        return output
    guided, positive = guide(row, output), output[1:]
    was = torch.linalg.vector_norm(positive, dim=-1, keepdim=True)
    now = torch.linalg.vector_norm(guided, dim=-1, keepdim=True)
    led: torch.Tensor = guided * (was / now)
    return led
