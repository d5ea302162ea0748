"""What an adapter does: prepare a row, predict for a batch of rows, advance a row, decode a row.

An adapter does what its pipeline's own call does, with the pipeline's own methods, except that the batch of a
forward pass holds rows of different requests, each at its own timestep.
"""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch

from worker.engine.loading import LoadedModel
from worker.engine.rows.row import Entry, Row
from worker.engine.rows.text_cache import TextCache

Call = Mapping[str, Any]
"""The arguments of the pipeline's own call, with its defaults filled in."""

HANDLED = frozenset(
    {"prompt", "negative_prompt", "width", "height", "num_inference_steps", "output_type", "guidance_scale"}
)


class RowFamily(ABC):
    """The adapter of one loaded pipeline."""

    handled: ClassVar[frozenset[str]] = frozenset()
    """Arguments of the pipeline's call that this adapter knows beside those that all know."""
    text_arguments: ClassVar[tuple[str, ...]] = ("prompt", "negative_prompt")
    """Arguments that decide, with guidance, what the encoded text is."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self.pipeline = model.pipeline
        self.texts = TextCache()
        parameters = inspect.signature(self.pipeline.__call__).parameters.values()
        self._defaults = {each.name: each.default for each in parameters}

    @classmethod
    def handles(cls, model: LoadedModel) -> bool:
        """Whether it knows all that the model's entry passes to the pipeline."""
        asked = {model.spec.guidance_argument, *model.spec.arguments}
        return asked <= HANDLED | cls.handled

    def prepare(self, arguments: Call, seed: int) -> Row:
        """Return a new row.

        Args:
            arguments: those of the pipeline's own call.
            seed: of the row's own generator, always on the CPU so that it means the same on every device.
        """
        call = {**self._defaults, **arguments}
        key = (self.is_guided(call), *(call[name] for name in self.text_arguments))
        entries = self.texts.get(key, lambda: self.encode(call))
        generator = torch.Generator("cpu").manual_seed(seed)
        return self.begin(call, self._own_pipeline(), entries, [generator])

    @abstractmethod
    def is_guided(self, call: Call) -> bool:
        """Whether rows of this call have two entries."""

    @abstractmethod
    def encode(self, call: Call) -> tuple[Entry, ...]:
        """Encode the text; entries in the order in which the pipeline's own call batches them."""

    @abstractmethod
    def begin(
        self,
        call: Call,
        pipeline: Any,  # noqa: ANN401 - diffusers is untyped
        entries: tuple[Entry, ...],
        generator: list[torch.Generator],
    ) -> Row:
        """Draw the first latents and set the timesteps.

        Args:
            call: what is asked.
            pipeline: the pipeline with a scheduler of the row's own.
            entries: of the encoded text; they are shared with other rows and must not be changed.
            generator: of the row's own, in a list as the pipeline's methods want it.
        """

    @abstractmethod
    def predict(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """Run the denoiser once for rows of one bucket; guided predictions, each shaped as its latents."""

    def advance(self, row: Row, prediction: torch.Tensor) -> None:
        """Take the row's latents to its next timestep by its own scheduler."""
        step = row.scheduler.step(
            prediction, row.timestep, row.latents, **row.step_arguments, return_dict=False
        )
        row.latents = step[0]
        row.ticked += 1

    def decode(self, row: Row, latents: torch.Tensor | None = None) -> torch.Tensor:
        """Return the row's image, (3 or 4, height, width), 0 to 1.

        Args:
            row: whose image it is.
            latents: others in place of the row's own, of the same shape and type.
        """
        encoded = self.unpack(row, row.latents if latents is None else latents)
        (image,) = self.pipeline.vae.decode(encoded, return_dict=False)
        return self.finish(row, image)

    @abstractmethod
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        """Return a row's latents as the autoencoder takes them."""

    def finish(self, _row: Row, image: torch.Tensor) -> torch.Tensor:
        """Return a decoded image, (1, channels, height, width), -1 to 1, as the pipeline's output."""
        images: torch.Tensor = self.pipeline.image_processor.postprocess(image, output_type="pt")
        return images[0]

    def _own_pipeline(self) -> Any:  # noqa: ANN401 - diffusers is untyped
        """Return the pipeline with a scheduler that nothing else uses."""
        pipeline = copy.copy(self.pipeline)
        pipeline.scheduler = self.model.fresh_scheduler()
        return pipeline


def gather(rows: Sequence[Row], name: str) -> torch.Tensor | None:
    """Return one tensor of every entry, (entries, …), or nothing where the entries have none."""
    if name not in rows[0].entries[0]:
        return None
    return torch.cat([entry[name] for row in rows for entry in row.entries])


def repeat_latents(rows: Sequence[Row]) -> torch.Tensor:
    """Return the latents once for every entry, (entries, …)."""
    return torch.cat([row.latents for row in rows for _ in row.entries])


def timesteps_now(rows: Sequence[Row]) -> torch.Tensor:
    """Return the timestep of every entry, (entries,), float32."""
    return torch.stack([row.timestep.float() for row in rows for _ in row.entries])


def by_row(rows: Sequence[Row], output: torch.Tensor) -> Iterator[tuple[Row, torch.Tensor]]:
    """Take a batch's output apart; (1 or 2, …) for each row."""
    return zip(rows, torch.split(output, [len(row.entries) for row in rows]), strict=True)
