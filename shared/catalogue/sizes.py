"""Which size is asked, drawn and delivered.

Three sizes: the *asked* one, the *generated* one the denoiser works at, and the *picture* the generated
pixels are resampled to. The picture is the asked size, except where that is more elongated than the model
draws well: then it fills the asked size along the short side and its background is continued along the
long one.
"""

from itertools import product
from math import ceil, floor, log, sqrt
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ASKED_MULTIPLE = 8
LEAST_ASKED_PX = 64
"""The sides that may be asked for are multiples of the one and at least the other."""

Box = tuple[int, int, int, int]
"""Left, upper, right and lower pixel."""


def _to_multiple(side: float, most: int) -> int:
    return max(LEAST_ASKED_PX, min(most, round(side / ASKED_MULTIPLE) * ASKED_MULTIPLE))


class Sizes(BaseModel):
    """The sizes a model draws, in pixels; areas in square pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    native_width: int = Field(ge=8)
    native_height: int = Field(ge=8)
    multiple: int = Field(8, ge=1)
    min_area_px: int = Field(ge=64)
    max_area_px: int = Field(ge=64)
    max_generated_aspect: float = Field(4.0, ge=1)
    max_side_px: int = Field(4096, ge=64)
    max_aspect: float = Field(4.0, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.native_width % self.multiple or self.native_height % self.multiple:
            msg = f"the native size is not a multiple of {self.multiple}"
            raise ValueError(msg)
        if not self.min_area_px <= self.native_area_px <= self.max_area_px:
            msg = "the native area is not between min_area_px and max_area_px"
            raise ValueError(msg)
        if self._elongation(self.native_width, self.native_height) > self.max_generated_aspect:
            msg = "the native size is more elongated than max_generated_aspect"
            raise ValueError(msg)
        return self

    @property
    def native_area_px(self) -> int:
        """The area the model was made for."""
        return self.native_width * self.native_height

    def supports(self, width: int, height: int) -> bool:
        """Whether an image of this size may be asked for."""
        within = max(width, height) <= self.max_side_px
        return within and self._elongation(width, height) <= self.max_aspect

    def nearest(self, width: int, height: int) -> tuple[int, int]:
        """Return the size that may be asked for and is nearest to a picture's: the same, if it can be."""
        most = self.max_side_px // ASKED_MULTIPLE * ASKED_MULTIPLE
        scale = min(1.0, most / max(width, height))
        wide, high = (_to_multiple(side * scale, most) for side in (width, height))
        # What is too elongated gives up of its long side.
        longest = floor(min(wide, high) * self.max_aspect) // ASKED_MULTIPLE * ASKED_MULTIPLE
        return min(wide, longest), min(high, longest)

    def picture(self, width: int, height: int) -> tuple[int, int]:
        """Return the part of the asked size that the model draws: all of it, unless it is too elongated."""
        longest = floor(min(width, height) * self.max_generated_aspect)
        return min(width, longest), min(height, longest)

    def generated(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to denoise at for an asked size; both sides are multiples of ``multiple``."""
        width, height = self.picture(width, height)
        if self.min_area_px <= width * height <= self.max_area_px:
            return self._up(width), self._up(height)
        return self._nearest(width / height)

    def resamples(self, width: int, height: int) -> bool:
        """Whether the pixels of the picture are not simply some of the generated ones."""
        asked, drawn = self.picture(width, height), self.generated(width, height)
        return not all(0 <= d - a < self.multiple for a, d in zip(asked, drawn, strict=True))

    def _up(self, side: int) -> int:
        return ceil(side / self.multiple) * self.multiple

    def _nearest(self, aspect: float) -> tuple[int, int]:
        """Return the size of about the native area whose aspect is nearest to the given one."""
        candidates = product(
            self._around(sqrt(self.native_area_px * aspect)), self._around(sqrt(self.native_area_px / aspect))
        )
        return min(candidates, key=lambda size: abs(log(size[0] / size[1] / aspect)))

    def _around(self, side: float) -> tuple[int, int]:
        below = max(1, floor(side / self.multiple))
        return below * self.multiple, (below + 1) * self.multiple

    @staticmethod
    def _elongation(width: int, height: int) -> float:
        return max(width, height) / min(width, height)


def place(asked: tuple[int, int], drawn: tuple[int, int], multiple: int) -> Box:
    """Return where a picture of the asked size lies on what is drawn: all of it, in the middle.

    Args:
        asked: width and height in pixels.
        drawn: those of what is denoised.
        multiple: where fewer pixels than these are over, nothing is resampled.
    """
    (width, height), (whole_width, whole_height) = asked, drawn
    if not (0 <= whole_width - width < multiple and 0 <= whole_height - height < multiple):
        scale = min(whole_width / width, whole_height / height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    left, upper = (whole_width - width) // 2, (whole_height - height) // 2
    return left, upper, left + width, upper + height
