"""What goes into the engine, what comes out, and who is told in between."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from PIL.Image import Image

from shared.catalogue import Wording
from shared.job_warnings import JobWarning


class TuningChoice(NamedTuple):
    """How far models are tuned (``off``, ``quick`` or ``full``), and the file that keeps what was found."""

    level: str = "quick"
    file: Path | None = None
    budget_s: float | None = None
    """Seconds after which no mode is begun; by default those of the level."""


class Inspector(Protocol):
    """Looks at pictures before they are encoded. Called on the encoders' threads, on several at once."""

    def __call__(self, picture: Image, *, preview: bool) -> None:
        """Return where the picture may be shown.

        It is RGB or RGBA, as the model drew it and in its own size. What was drawn into another picture is
        looked at as it is delivered: in the asked size, with what a mask keeps.

        Whatever is raised for an image fails its request; for a preview, the preview alone is left out.
        """


@dataclass(frozen=True, eq=False)
class Edit:
    """Pictures to begin with."""

    images: tuple[Image, ...]
    """RGB or RGBA, 8 bits a channel; the first is the one that is edited."""
    mask: Image | None = None
    """L, of the first one's size: 255 is drawn anew, 0 stays as it was, what lies between is mixed."""
    strength: float | None = None
    """How much of the first one is drawn anew, 0 to 1, by a model that begins with it; else None."""


@dataclass(frozen=True)
class ImageRequest:
    """Images to draw: one for each seed, alike in everything else."""

    model: str
    wording: Wording
    """What the model is conditioned on: the caller's words within the model's templates."""
    negative_prompt: str | None
    width: int
    height: int
    steps: int
    guidance: float
    seeds: tuple[int, ...]
    transparent: bool
    output_format: str
    output_compression: int
    partial_images: int = 0
    """Previews of each image on its way, at evenly spaced steps; fewer where there is no time for them, and
    none where the pipeline runs whole."""
    inspector: Inspector | None = None
    """Looks at every picture, previews too."""
    edit: Edit | None = None
    """What it begins with, where it is an edit."""
    low: bool = False
    """Whether it makes way for every request that is not."""


@dataclass(frozen=True)
class ImageResult:
    """Encoded images in the order of the seeds, and what drawing them took."""

    images: tuple[bytes, ...]
    prompt_tokens: int
    timings_s: dict[str, float]
    warnings: tuple[JobWarning, ...] = ()
    """What only the engine knows: what its tokenizer and its pipeline make of the request."""


class Watcher(Protocol):
    """Follows one request. Called on the engine's thread between steps, so both methods must be quick."""

    def on_step(self, step: int, steps: int) -> None:
        """Take note that ``step`` of ``steps`` are done; the steps of all the request's images count."""

    def stop_requested(self) -> bool:
        """Whether the request should be given up before its next step."""


@runtime_checkable
class StageWatcher(Watcher, Protocol):
    """A watcher that is also told when each stage was; one that does not ask is not."""

    def on_stage(self, stage: str, began_at: float, ended_at: float) -> None:
        """Take note of a stage that has ended, well or not. Called on any of the engine's threads.

        Args:
            stage: ``queue`` and ``load`` once, ``decode``, ``inspect`` (where there is an inspector) and
                ``encode`` for each image, ``denoise`` once or, where the pipeline runs whole, for each image.
            began_at: by ``time.perf_counter``.
            ended_at: by the same.
        """


@runtime_checkable
class SpoiltWatcher(Watcher, Protocol):
    """A watcher that is also told of images whose values were no numbers; one that does not ask is not."""

    def on_no_numbers(self, model: str, *, mended: bool) -> None:
        """Take note of an image, of no preview. Called on any of the engine's threads.

        Args:
            model: that drew it.
            mended: whether decoding it once more in float32 gave a picture; else its request fails.
        """


@runtime_checkable
class PreviewWatcher(Watcher, Protocol):
    """A watcher that also takes previews; one that does not is given none."""

    def on_preview(self, image: int, partial: int, file: bytes) -> None:
        """Take an encoded preview. Called on other threads than the rest, and perhaps once after the end.

        Args:
            image: which of the request's images, from 0.
            partial: which preview of it, from 0; one that came late is left out.
            file: encoded as the image will be, in the same size.
        """
