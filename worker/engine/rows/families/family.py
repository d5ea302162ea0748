"""What an adapter does: prepare a row, predict for a batch of rows, advance a row, decode a row.

An adapter does what its pipeline's own call does, with the pipeline's own methods, except that the batch of a
forward pass holds rows of different requests, each at its own timestep.
"""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch

from shared.errors import GenerationFailed
from worker.engine.beside.groups import Sizes
from worker.engine.beside.texts import Entries, TextCache
from worker.engine.models.arguments import Call
from worker.engine.models.loading import LoadedModel
from worker.engine.pictures.canvas import Canvas
from worker.engine.request import Edit
from worker.engine.rows.families.batches import by_row
from worker.engine.rows.families.pictures import EncodedPictures, Pictures
from worker.engine.rows.families.plans import Noise, Plan, Plans
from worker.engine.rows.families.timesteps import noise_from, noised, timesteps_of
from worker.engine.rows.row import Known, Row
from worker.engine.stages.graphs import Graphs
from worker.engine.stages.inputs import Inputs
from worker.engine.stages.modes import Mode
from worker.engine.stages.recordable import Recordable

HANDLED = frozenset(
    {"prompt", "negative_prompt", "width", "height", "num_inference_steps", "output_type", "guidance_scale"}
)


class RowFamily(ABC):
    """The adapter of one loaded pipeline."""

    handled: ClassVar[frozenset[str]] = frozenset()
    """Arguments of the pipeline's call that this adapter knows beside those that all know."""
    text_arguments: ClassVar[tuple[str, ...]] = ("prompt", "negative_prompt")
    """Arguments that decide, with guidance, what the encoded text is."""
    has_fixed_shapes: ClassVar[bool] = True
    """Whether what its denoiser is given has a shape that depends only on size, length class and entries."""
    encodes_together: ClassVar[bool] = True
    """Whether its pipeline encodes several texts in one run as it encodes each alone."""
    schedule_arguments: ClassVar[tuple[str, ...]] = ()
    """Arguments that decide, beside size and steps, what the scheduler is told."""
    packed: ClassVar[int] = 1
    """How many latents, side by side, its denoiser takes as the channels of one."""
    guidance_argument: ClassVar[str] = "guidance_scale"
    """The argument that says how strongly rows with two entries are led."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self.pipeline = model.pipeline
        self.texts = TextCache()
        self._plans = Plans()
        self.denoiser, self.decoder = Graphs(self.forward), Graphs(self._decode)
        self.encoders = self._recordable_encoders()
        self.texts_together, self.decodings_together = Sizes(), Sizes()
        parameters = inspect.signature(self.pipeline.__call__).parameters.values()
        self._defaults = {each.name: each.default for each in parameters}

    @property
    def graphs(self) -> tuple[Graphs[Any], ...]:
        """The recordings of all its stages."""
        return (self.denoiser, self.decoder, *(each.graphs for each in self.encoders))

    def _recordable_encoders(self) -> tuple[Recordable, ...]:
        if not self.encodes_together:
            return ()
        names = ("text_encoder", "text_encoder_2", "text_encoder_3")
        encoders = [getattr(self.pipeline, name, None) for name in names]
        made = tuple(Recordable(encoder) for encoder in encoders if encoder is not None)
        for recordable in made:
            recordable.install()
        return made

    @classmethod
    def handles(cls, model: LoadedModel) -> bool:
        """Whether it knows all that the model's entry passes to the pipeline."""
        asked = {model.spec.guidance_argument, *model.spec.arguments}
        return asked <= HANDLED | cls.handled

    def call(self, arguments: Call) -> Call:
        """Return the arguments of the pipeline's own call with its defaults filled in."""
        return {**self._defaults, **arguments}

    def prepare(self, arguments: Call, seed: int) -> Row:
        """Return a new row: its text, its noise and its timesteps, one after the other."""
        call = self.call(arguments)
        return self.begin(call, self.text(call), self.draw(call, seed))

    def text(self, call: Call) -> Entries:
        """Return a call's encoded text, from the cache where it is there."""
        return self.texts.get(self.text_key(call), lambda: self.encode(call))

    def text_key(self, call: Call) -> Hashable:
        """Return what the encoded text depends on."""
        return (self.is_guided(call), *(call[name] for name in self.text_arguments))

    def encode_all(self, calls: Sequence[Call]) -> list[Entries]:
        """Encode the texts of several calls of one :meth:`text_group` in one run of the encoder."""
        first = calls[0]
        if len(calls) == 1:
            return [self.texts.get(self.text_key(first), lambda: self.encode(first))]
        lists = {name: [call[name] for call in calls] for name in self._texts_of(first)}
        together = self.encode({**first, **lists})
        # Copies, or each would keep the memory of all.
        entries: list[Entries] = [
            tuple({name: part[i : i + 1].clone() for name, part in entry.items()} for entry in together)
            for i in range(len(calls))
        ]
        for call, own in zip(calls, entries, strict=True):
            self.texts.put(self.text_key(call), own)
        return entries

    def text_group(self, call: Call) -> Hashable:
        """Return what texts must have in common to be encoded in one run."""
        if not self.encodes_together:
            return self.text_key(call)
        texts = self._texts_of(call)
        rest = tuple(call[name] for name in self.text_arguments if name not in texts)
        return (self.is_guided(call), texts, rest)

    def _texts_of(self, call: Call) -> tuple[str, ...]:
        return tuple(name for name in self.text_arguments if isinstance(call[name], str))

    def draw(self, call: Call, seed: int, edit: Edit | None = None) -> Noise:
        """Return a row's noise, drawn on the CPU so that a seed means the same on every device.

        It asks nothing of the device, so it may run on any thread and before the text is known.
        """
        noise = self.noise(call, edit, torch.Generator("cpu").manual_seed(seed))
        if self.device.type != "cuda":
            return noise
        # Else the copy to the device would wait for it.
        sample = noise.sample.pin_memory() if noise.sample is not None else None
        return noise._replace(latents=noise.latents.pin_memory(), sample=sample)

    def noise(self, call: Call, _edit: Edit | None, generator: torch.Generator) -> Noise:
        """Return what a row draws before its first step, on the CPU; by default its first latents."""
        pipeline = self._pipeline_with(scheduler=self._plan(call).scheduler)
        latents, ids = self.drawn(call, pipeline, [generator])
        return Noise(latents, ids, generator)

    def begin(self, call: Call, entries: Entries, noise: Noise) -> Row:
        """Return a row that is ready for its first step.

        Args:
            call: what is asked.
            entries: of the encoded text; they are shared with other rows and must not be changed.
            noise: of the row's own.
        """
        plan, generator = self._plan(call), [noise.generator]
        scheduler = plan.own_scheduler()
        return Row(
            scheduler=scheduler,
            timesteps=plan.timesteps,
            latents=noise.latents.to(self.device, non_blocking=True),
            entries=self.conditioned(call, entries),
            guidance=call[self.guidance_argument],
            steps=call["num_inference_steps"],
            width=call["width"],
            height=call["height"],
            text_class=self.text_class(entries),
            step_arguments=self.step_arguments(call, self._pipeline_with(scheduler=scheduler), generator),
            extras=self.extras(call, entries, plan.ids_on(self.device, noise.ids)),
        )

    # --- pictures to begin with

    def first_step(self, _steps: int, _strength: float | None) -> int:
        """Return how many of so many steps a row leaves out that begins with so much of its picture."""
        return 0

    def pictures(self, _edit: Edit, _canvas: Canvas | None) -> Pictures:
        """Return the pictures of an edit as tensors. It asks nothing of the device: it may run on any thread.

        Args:
            edit: what is asked.
            canvas: where its first picture lies on what is denoised, if it does.

        Raises:
            GenerationFailed: it cannot edit that way.
        """
        raise self._edits_nothing

    def encode_pictures(self, _pictures: Pictures, _vae: Any) -> EncodedPictures:  # noqa: ANN401
        """Return the pictures as latents on the device, by this autoencoder: the pipeline's, or a copy."""
        raise self._edits_nothing

    def begin_with(self, _row: Row, _noise: Noise, _pictures: EncodedPictures, _edit: Edit) -> None:
        """Let a row that has begun with noise begin with pictures."""
        raise self._edits_nothing

    @property
    def _edits_nothing(self) -> GenerationFailed:
        return GenerationFailed(f"model {self.model.spec.name!r} does not edit pictures like this")

    # --- what a family is made of

    @abstractmethod
    def is_guided(self, call: Call) -> bool:
        """Whether rows of this call have two entries."""

    @abstractmethod
    def encode(self, call: Call) -> Entries:
        """Encode the text; entries in the order in which the pipeline's own call batches them."""

    @property
    def denoising(self) -> torch.nn.Module:
        """The network that denoises."""
        network: torch.nn.Module = self.pipeline.transformer
        return network

    @contextmanager
    def denoising_in_float32(self) -> Iterator[None]:
        """Denoise in full precision meanwhile, with a copy of the weights that is made for it."""
        network = self.denoising
        (name,) = (name for name, part in self.pipeline.components.items() if part is network)
        exact = type(network).from_config(network.config).float()  # type: ignore[attr-defined]
        exact.load_state_dict(network.state_dict())
        setattr(self.pipeline, name, exact.to(self.device).eval())
        try:
            yield
        finally:
            setattr(self.pipeline, name, network)

    def text_modes(self) -> tuple[Mode, ...]:
        """Return ways of encoding text that only this family's pipeline allows."""
        return ()

    @property
    def channels(self) -> int:
        """Channels of the latents that the pipeline draws."""
        network: Any = self.denoising
        return int(network.config.in_channels) // self.packed

    def schedule(self, _call: Call) -> dict[str, Any]:
        """Return what the scheduler is told beside the number of steps."""
        return {}

    def drawn(
        self,
        call: Call,
        pipeline: Any,  # noqa: ANN401 - diffusers is untyped
        generator: list[torch.Generator],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the latents and ids of the pipeline's own ``prepare_latents`` for one image, on the CPU."""
        size, cpu = (call["height"], call["width"]), torch.device("cpu")
        found = pipeline.prepare_latents(1, self.channels, *size, self.latents_dtype, cpu, generator)
        latents, ids = found if isinstance(found, tuple) else (found, None)
        return latents, ids

    @property
    def latents_dtype(self) -> torch.dtype:
        """The type that latents begin in: by default that of the encoded text."""
        dtype: torch.dtype = self.pipeline.text_encoder.dtype
        return dtype

    def extras(self, _call: Call, _entries: Entries, _ids: torch.Tensor | None) -> dict[str, Any]:
        """Return what else the family needs of a row; ``ids`` are those of its latents, on the device."""
        return {}

    def conditioned(self, _call: Call, entries: Entries) -> Entries:
        """Return the entries with what they are conditioned on beside their text."""
        return entries

    def text_class(self, entries: Entries) -> int:
        """Return the class of the texts: rows share a forward pass only with rows of the same."""
        return entries[-1]["text"].shape[1]

    def step_arguments(
        self,
        _call: Call,
        pipeline: Any,  # noqa: ANN401 - diffusers is untyped
        generator: list[torch.Generator],
    ) -> dict[str, Any]:
        """Return what the scheduler's steps are told."""
        return noise_from(pipeline.scheduler, generator)

    def tokens(self, call: Call, patch: int = 2) -> int:
        """Return how many patches of so many latents a side an image has."""
        side = patch * self.pipeline.vae_scale_factor
        return int((call["height"] // side) * (call["width"] // side))

    def predict(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """Run the denoiser once for rows of one bucket; guided predictions, each shaped as its latents."""
        # Pictures to look at come in all sizes: their shapes would drive out the recordings of all others.
        run = self.forward if rows[0].references else self.denoiser
        parts = by_row(rows, run(self.inputs(rows)))
        return [self.guided(row, part) for row, part in parts]

    @abstractmethod
    def inputs(self, rows: Sequence[Row]) -> Inputs:
        """Return what the denoiser is given for rows of one bucket."""

    @abstractmethod
    def forward(self, inputs: Inputs) -> torch.Tensor:
        """Run the denoiser; (entries, …)."""

    def guided(self, row: Row, output: torch.Tensor) -> torch.Tensor:
        """Lead away from the first entry towards the second; (1 or 2, …) to (1, …)."""
        if len(row.entries) == 1:
            return output
        negative, positive = output.chunk(2)
        return negative + row.guidance * (positive - negative)

    def advance(self, row: Row, prediction: torch.Tensor) -> None:
        """Take the row's latents to its next timestep by its own scheduler."""
        step = row.scheduler.step(
            prediction, row.timestep, row.latents, **row.step_arguments, return_dict=False
        )
        row.latents = step[0]
        row.ticked += 1
        if (known := row.known) is not None:
            row.latents = known.mixed(row.latents, self._kept(row, known))

    def _kept(self, row: Row, known: Known) -> torch.Tensor:
        """Return what is kept of a picture, as noisy as the row is now."""
        if row.is_done:
            return known.latents
        return noised(row.scheduler, known.latents, known.noise, row.timestep[None])

    def decode(self, row: Row, latents: torch.Tensor | None = None) -> torch.Tensor:
        """Return the row's image, (3 or 4, height, width), 0 to 1.

        Args:
            row: whose image it is.
            latents: others in place of the row's own, of the same shape and type.
        """
        encoded = self.unpack(row, row.latents if latents is None else latents)
        return self.finish(row, self.decoded(encoded))

    def decoded(self, encoded: torch.Tensor) -> torch.Tensor:
        """Run the decoder; (images, …) to (images, channels, …), -1 to 1."""
        return self.decoder(Inputs({"latents": encoded}))

    def _decode(self, inputs: Inputs) -> torch.Tensor:
        images: torch.Tensor = self.pipeline.vae.decode(inputs.batched["latents"], return_dict=False)[0]
        return images

    def decoded_in_float32(self, encoded: torch.Tensor) -> torch.Tensor:
        """Do the same in full precision, with a copy of the weights that is made for it."""
        images: torch.Tensor
        images = self.vae_in_float32().decode(encoded.float(), return_dict=False)[0]
        return images

    def vae_in_float32(self) -> Any:  # noqa: ANN401 - diffusers is untyped
        """Return a copy of the autoencoder in full precision."""
        vae = self.pipeline.vae
        # Not a deep copy: what is compiled within belongs to the original.
        exact = type(vae).from_config(vae.config).float()
        exact.load_state_dict(vae.state_dict())
        return exact.to(self.device).eval()

    @abstractmethod
    def unpack(self, row: Row, latents: torch.Tensor) -> torch.Tensor:
        """Return a row's latents as the autoencoder takes them."""

    def finish(self, _row: Row, image: torch.Tensor) -> torch.Tensor:
        """Return a decoded image, (1, channels, height, width), -1 to 1, as the pipeline's output."""
        images: torch.Tensor = self.pipeline.image_processor.postprocess(image, output_type="pt")
        return images[0]

    @property
    def device(self) -> torch.device:
        """Where its rows are denoised."""
        # Not the pipeline's own property, which looks through every part of its networks: 4 to 20 ms.
        return next(self.denoising.parameters()).device

    def _plan(self, call: Call) -> Plan:
        names = ("width", "height", "num_inference_steps", *self.schedule_arguments)
        return self._plans.get(tuple(call[name] for name in names), lambda: self._planned(call))

    def _planned(self, call: Call) -> Plan:
        pipeline = self._pipeline_with(scheduler=self.model.fresh_scheduler())
        steps = call["num_inference_steps"]
        timesteps = timesteps_of(pipeline.scheduler, steps, self.device, self.schedule(call))
        if hasattr(pipeline.scheduler, "set_begin_index"):
            # Else each row's scheduler looks its first step up on the device, and waits for it.
            pipeline.scheduler.set_begin_index(0)
        return Plan(pipeline.scheduler, timesteps)

    def _pipeline_with(self, **parts: object) -> Any:  # noqa: ANN401 - diffusers is untyped
        """Return the pipeline with another scheduler, or another part of it."""
        pipeline = copy.copy(self.pipeline)
        for name, part in parts.items():
            setattr(pipeline, name, part)
        return pipeline
