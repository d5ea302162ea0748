"""The picture of an edit on its way to its model and back: fitted into what is drawn, and cut out again."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from PIL import Image

from shared.catalogue import Box, Sizes, place
from worker.engine.pictures.pixels import Pixels, cover
from worker.engine.pictures.seam import levelled
from worker.engine.request import Edit, ImageRequest


@dataclass(frozen=True, eq=False)
class Canvas:
    """The size at which a model denoises, and the picture of an edit in the middle of it.

    Where the one is more elongated than the other, or of no multiple of what the model draws, the picture's
    edges are continued to two sides.

    Attributes:
        edit: whose first picture it is.
        asked: width and height in pixels of what is delivered.
        drawn: those of what is denoised.
        multiple: fewer pixels than these are added at the edges where that makes the size; else the picture
            is resampled.
        transparent: whether alpha is kept; else pictures are composed on white.
    """

    edit: Edit
    asked: tuple[int, int]
    drawn: tuple[int, int]
    multiple: int = 1
    transparent: bool = False

    @classmethod
    def of(cls, request: ImageRequest, sizes: Sizes) -> Self | None:
        """Return the canvas of a request, or nothing where no picture lies on what its model draws."""
        edit, asked = request.edit, (request.width, request.height)
        if edit is None or (edit.strength is None and edit.mask is None):
            return None
        return cls(edit, asked, sizes.generated(*asked), sizes.multiple, request.transparent)

    @cached_property
    def picture(self) -> Image.Image:
        """The picture in the asked size, RGB, or RGBA where alpha is kept; untouched if it is of that."""
        original = self.edit.images[0]
        return cover(original.convert("RGBA") if self.transparent else on_white(original), *self.asked)

    @cached_property
    def mask(self) -> Image.Image | None:
        """The mask in the asked size, if there is one."""
        # Lanczos would ring, and so mix a little of what is drawn into what is to stay.
        smooth = Image.Resampling.BILINEAR
        return self.edit.mask and cover(self.edit.mask, *self.asked, resample=smooth)

    @cached_property
    def box(self) -> Box:
        """Where the picture lies: left, upper, right and lower pixel."""
        return place(self.asked, self.drawn, self.multiple)

    def whole(self) -> Image.Image:
        """Return the picture in the size that is denoised, its edges continued; RGB or RGBA."""
        return self._continued(self.picture, Image.Resampling.LANCZOS)

    def whole_mask(self) -> Image.Image | None:
        """Return what is drawn anew in the size that is denoised, or nothing where that is all; L.

        Wide margins are kept as they are, so that what is drawn finds its place where it is cut out.
        """
        left, upper, right, lower = self.box
        near = max(0, left - self.multiple), max(0, upper - self.multiple)
        if self.mask is None and not any(near):
            return None
        mask = self.mask or Image.new("L", self.asked, 255)
        pixels = np.array(self._continued(mask, Image.Resampling.BILINEAR))
        pixels[: near[1]] = pixels[lower + self.multiple :] = 0
        pixels[:, : near[0]] = pixels[:, right + self.multiple :] = 0
        return Image.fromarray(pixels)

    def finished(self, pixels: Pixels) -> Image.Image:
        """Return what was drawn in the asked size; where a mask says so, the picture itself, to the pixel.

        Args:
            pixels: of the size that is denoised; with alpha where that is kept.
        """
        drawn = _resized(Image.fromarray(pixels).crop(self.box), self.asked, Image.Resampling.LANCZOS)
        if self.mask is None:
            return drawn
        # Alpha has colours of its own below it, and no ground that both should share.
        met = levelled(drawn, self.picture, self.mask) if drawn.mode == "RGB" else drawn
        return mixed(self.picture, met, self.mask)

    def _continued(self, picture: Image.Image, resample: Image.Resampling) -> Image.Image:
        left, upper, right, lower = self.box
        fitted = _resized(picture, (right - left, lower - upper), resample)
        if fitted.size == self.drawn:
            return fitted
        width, height = self.drawn
        around = [(upper, height - lower), (left, width - right), (0, 0)][: np.asarray(fitted).ndim]
        return Image.fromarray(np.pad(np.asarray(fitted), around, mode="edge"))


def on_white(picture: Image.Image) -> Image.Image:
    """Return a picture without its alpha channel, composed on white where it has one."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def mixed(kept: Image.Image, drawn: Image.Image, mask: Image.Image) -> Image.Image:
    """Return one picture where a mask is 0, another where it is 255, and a mixture where it lies between.

    Args:
        kept: RGB or RGBA, not premultiplied.
        drawn: of the same mode and size.
        mask: L, of the same size.
    """
    if kept.mode != "RGBA":
        return Image.composite(drawn, kept, mask)
    ours, theirs, share = (np.asarray(each) for each in (kept, drawn, mask))
    mixture = _mixture(ours, theirs, share)
    whole = share[..., None]
    return Image.fromarray(np.where(whole == 0, ours, np.where(whole == 255, theirs, mixture)))  # noqa: PLR2004


def _mixture(kept: Pixels, drawn: Pixels, mask: Pixels) -> Pixels:
    """Mix RGBA by what each shows: what is transparent lends nothing of its colour."""
    share = mask[..., None] / np.float32(255)
    weights = kept[..., 3:] * (1 - share), drawn[..., 3:] * share
    alpha = weights[0] + weights[1]
    colour = (kept[..., :3] * weights[0] + drawn[..., :3] * weights[1]) / np.maximum(alpha, np.float32(1e-6))
    mixture: Pixels = np.rint(np.concatenate([colour, alpha], axis=-1)).astype(np.uint8)
    return mixture


def _resized(picture: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, resample)
