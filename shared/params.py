"""The caller's choices, validated and with every default filled in, as they are kept with the job."""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from shared.moderation import Moderation

MAX_SEED: Final = 2**32 - 1
MAX_PARTIAL_IMAGES: Final = 3
"""Previews of each image on its way."""
MAX_IMAGES: Final = 10
"""Images of a job."""


class Background(StrEnum):
    """What is behind the subject."""

    TRANSPARENT = "transparent"
    OPAQUE = "opaque"


class OutputFormat(StrEnum):
    """File format of the images."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"


class Quality(StrEnum):
    """Chooses the number of denoising steps."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Style(StrEnum):
    """Applied per model by the catalogue."""

    VIVID = "vivid"
    NATURAL = "natural"


class Params(BaseModel):
    """What to draw. Checked by the API when the job is made and again by the worker when it is claimed."""

    # An error that is logged must not repeat the prompt. And no process is to keep prompts: of the texts that
    # it reads, pydantic would keep up to 16,384, to read them faster when they come again.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, cache_strings="keys")

    prompt: str = Field(min_length=1, max_length=32_000)
    negative_prompt: str | None = Field(None, max_length=32_000)
    background: Background = Background.OPAQUE
    n: int = Field(1, ge=1, le=MAX_IMAGES)
    output_compression: int = Field(95, ge=0, le=100)
    output_format: OutputFormat = OutputFormat.PNG
    quality: Quality = Quality.MEDIUM
    width: int = Field(512, ge=64, le=4096)
    height: int = Field(512, ge=64, le=4096)
    style: Style = Style.VIVID
    seed: int = Field(ge=0, le=MAX_SEED)
    partial_images: int = Field(0, ge=0, le=MAX_PARTIAL_IMAGES)
    moderation: Moderation = Moderation.AUTO

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each image: image i uses ``seed + i``."""
        return tuple(self.seed + i for i in range(self.n))

    @property
    def transparent(self) -> bool:
        """Whether the images keep their alpha channel."""
        return self.background is Background.TRANSPARENT

    @property
    def size(self) -> str:
        """``WIDTHxHEIGHT`` in pixels."""
        return f"{self.width}x{self.height}"
