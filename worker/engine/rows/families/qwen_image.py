"""Qwen-Image."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import override

from worker.engine.beside.texts import Entries, Entry
from worker.engine.models.arguments import Call
from worker.engine.models.devices import dtype_of
from worker.engine.rows.families.batches import gather, repeat_latents, timesteps_now
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.text_length import text_class
from worker.engine.rows.families.timesteps import shift_of
from worker.engine.rows.row import Row
from worker.engine.stages.inputs import Inputs


class QwenImage(RowFamily):
    """``QwenImagePipeline``: a transformer over packed latents, (1, tokens, channels), and masked text."""

    packed: ClassVar[int] = 4
    guidance_argument: ClassVar = "true_cfg_scale"
    encodes_together: ClassVar = False
    handled: ClassVar = frozenset({"true_cfg_scale", "max_sequence_length"})
    text_arguments: ClassVar = ("prompt", "negative_prompt", "max_sequence_length")

    @override
    def is_guided(self, call: Call) -> bool:
        return call["true_cfg_scale"] > 1 and call["negative_prompt"] is not None

    @override
    def encode(self, call: Call) -> Entries:
        prompts = (call["negative_prompt"], call["prompt"]) if self.is_guided(call) else (call["prompt"],)
        return tuple(self._encode(prompt, call["max_sequence_length"]) for prompt in prompts)

    def _encode(self, prompt: str, max_tokens: int) -> Entry:
        # The mask is of other prompts' lengths, and here is only one.
        text, _ = self.pipeline.encode_prompt(prompt, self.device, max_sequence_length=max_tokens)
        return {"text": text}

    @override
    def schedule(self, call: Call) -> dict[str, Any]:
        steps = call["num_inference_steps"]
        mu = shift_of(self.pipeline, self.tokens(call))
        return {"sigmas": np.linspace(1.0, 1 / steps, steps), "mu": mu}

    @override
    def extras(self, call: Call, entries: Entries, ids: torch.Tensor | None) -> dict[str, Any]:
        side = 2 * self.pipeline.vae_scale_factor
        return {"shape": [(1, call["height"] // side, call["width"] // side)]}

    @override
    def text_class(self, entries: Entries) -> int:
        return max(text_class(entry["text"].shape[1]) for entry in entries)

    @override
    def conditioned(self, call: Call, entries: Entries) -> Entries:
        # Distilled models are told the strength of guidance as an input.
        if not self.pipeline.transformer.config.guidance_embeds:
            return entries
        scale = call["guidance_scale"] or 0.0
        strength = torch.full([1], scale, device=entries[0]["text"].device, dtype=torch.float32)
        return tuple({**entry, "guidance": strength} for entry in entries)

    @override
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        latents = repeat_latents(rows)
        text, mask = _padded([entry["text"] for row in rows for entry in row.entries])
        return Inputs(
            {
                "latents": latents,
                "timestep": timesteps_now(rows).to(latents.dtype) / 1000,
                "text": text,
                **({} if mask is None else {"mask": mask}),
                **gather(rows, "guidance"),
            },
            {"shape": rows[0].extras["shape"]},
        )

    @override
    def forward(self, inputs: Inputs) -> torch.Tensor:
        output: torch.Tensor
        given = inputs.batched
        (output,) = self.pipeline.transformer(
            hidden_states=given["latents"],
            timestep=given["timestep"],
            guidance=given.get("guidance"),
            encoder_hidden_states_mask=given.get("mask"),
            encoder_hidden_states=given["text"],
            img_shapes=[inputs.shared["shape"]] * inputs.entries,
            attention_kwargs={},
            return_dict=False,
        )
        return output

    @override
    def guided(self, row: Row, output: torch.Tensor) -> torch.Tensor:
        """Return the guided prediction, each token as long as the unguided one."""
        guided = super().guided(row, output)
        if len(row.entries) == 1:
            return guided
        was = torch.linalg.vector_norm(output[1:], dim=-1, keepdim=True)
        now = torch.linalg.vector_norm(guided, dim=-1, keepdim=True)
        led: torch.Tensor = guided * (was / now)
        return led

    @override
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        pipeline, vae = self.pipeline, self.pipeline.vae
        latents = pipeline._unpack_latents(latents, row.height, row.width, pipeline.vae_scale_factor)  # noqa: SLF001
        latents = latents.to(dtype_of(vae))
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
