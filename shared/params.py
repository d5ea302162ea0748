"""The caller's choices, validated and with every default filled in, as they are kept with the job."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from shared.moderation import Moderation

MAX_SEED: Final = 2**32 - 1
MAX_PARTIAL_IMAGES: Final = 3
"""Previews of each image on its way."""
MAX_IMAGES: Final = 10
"""Images of a job."""
MAX_INPUTS: Final = 16
"""Pictures that a job may begin with."""


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


class InputFidelity(StrEnum):
    """How much of the picture that is edited is kept, where a model begins with it."""

    LOW = "low"
    HIGH = "high"


InputSize = Annotated[tuple[PositiveInt, PositiveInt], Field(description="Width and height in pixels.")]


class Params(BaseModel):
    """What to draw. Checked by the API when the job is made and again by the worker when it is claimed."""

    # An error that is logged must not repeat the prompt. And no process is to keep prompts: of the texts that
    # it reads, pydantic would keep up to 16,384, to read them faster when they come again.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, cache_strings="keys")

    added_in: ClassVar[Mapping[str, int]] = {
        "prompt": 1,
        "negative_prompt": 1,
        "background": 1,
        "n": 1,
        "output_compression": 1,
        "output_format": 1,
        "quality": 1,
        "width": 1,
        "height": 1,
        "style": 1,
        "seed": 1,
        "partial_images": 1,
        "moderation": 1,
        "input_sizes": 2,
        "masked": 2,
        "strength": 2,
        "input_fidelity": 2,
        "stored": 3,
    }
    """The version of the params that brought each field. A new one has a default, and the next version."""

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
    input_sizes: tuple[InputSize, ...] = Field((), max_length=MAX_INPUTS)
    """Of each picture that it begins with, as it came; where there is one, this is an edit."""
    masked: bool = False
    """Whether only a part of the first one is drawn anew."""
    strength: float | None = Field(None, ge=0, le=1)
    """How much of the first one is drawn anew: 0 nothing, 1 all."""
    input_fidelity: InputFidelity | None = None
    """The same in words, where no number says it."""
    stored: bool = False
    """Whether its images go to the store of objects, and only their names to Redis."""

    def needs(self) -> int:
        """Return the version that a worker must read to draw exactly this: that of its newest choice."""
        return max(self.added_in[name] for name in self._written())

    def written(self) -> str:
        """Return this as JSON that every worker which reads what it needs can read.

        Choices of the first version are always there, a later one only where it is not its default.
        """
        return self.model_dump_json(include=self._written())

    def _written(self) -> set[str]:
        fields = type(self).model_fields
        return {
            name
            for name, field in fields.items()
            if self.added_in[name] == 1 or getattr(self, name) != field.get_default(call_default_factory=True)
        }

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each image: image i uses ``seed + i``."""
        return tuple(self.seed + i for i in range(self.n))

    @property
    def edits(self) -> bool:
        """Whether it begins with pictures."""
        return bool(self.input_sizes)

    @property
    def transparent(self) -> bool:
        """Whether the images keep their alpha channel."""
        return self.background is Background.TRANSPARENT

    @property
    def size(self) -> str:
        """``WIDTHxHEIGHT`` in pixels."""
        return f"{self.width}x{self.height}"


PARAMS_VERSION: Final = max(Params.added_in.values())
"""The version that this code reads and writes; what it writes seldom needs a reader of as much."""


def shown(words: bytes | bytearray) -> Params:
    """Return what this version understands of a job's params, which a later one may have written.

    For telling of the job, never for drawing it: what is not understood is left out.
    """
    try:
        return Params.model_validate_json(words)
    except ValidationError as error:
        strange = {each["loc"][0] for each in error.errors() if each["loc"]}
    return Params.model_validate({"prompt": "?", "seed": 0, **_without(words, strange)})


def _without(words: bytes | bytearray, strange: set[int | str]) -> dict[str, Any]:
    try:
        read = json.loads(words)
    except ValueError:
        return {}
    known = read if isinstance(read, dict) else {}
    return {name: value for name, value in known.items() if name not in strange}
