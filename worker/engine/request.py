"""What goes into the engine, what comes out, and who is told in between."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ImageRequest:
    """Images to draw: one for each seed, alike in everything else."""

    model: str
    prompt: str
    """The caller's own words; only they are counted as tokens."""
    conditioning_prompt: str
    """What the model is conditioned on: the words within the model's templates."""
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
    """Previews of each image on its way, at evenly spaced steps."""


@dataclass(frozen=True)
class ImageResult:
    """Encoded images in the order of the seeds, and what drawing them took."""

    images: tuple[bytes, ...]
    prompt_tokens: int
    timings_s: dict[str, float]


class Watcher(Protocol):
    """Follows one request. Called on the engine's thread between steps, so both methods must be quick."""

    def on_step(self, step: int, steps: int) -> None:
        """Take note that ``step`` of ``steps`` are done; the steps of all the request's images count."""

    def stop_requested(self) -> bool:
        """Whether the request should be given up before its next step."""
