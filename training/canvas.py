"""Scenes as pictures, composed on the device: many at once, in RGBA."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import torch
from PIL import Image
from torch.nn import functional

from training import glyphs
from training.scenes import COLOURS, Composer, Placed, Scene

LUMINANCE = (0.3, 0.59, 0.11)


class Canvas:
    """Every glyph's picture on the device, and the scenes drawn with them."""

    def __init__(self, folder: Path, glyph_px: int, device: torch.device) -> None:
        known = glyphs.read(folder)
        names = [(number, style) for number, glyph in enumerate(known) for style in glyph.styles]
        with ThreadPoolExecutor() as threads:
            paths = [glyphs.picture(folder, *name) for name in names]
            loaded = list(threads.map(lambda path: _load(path, glyph_px), paths))
        self.glyphs = known
        self.composer = Composer(known, {name: index for index, name in enumerate(names)})
        self._pictures = torch.stack(loaded).to(device)
        self._device = device

    def compose(self, count: int, rng: Random) -> list[Scene]:
        """Make so many scenes up."""
        return [self.composer.compose(rng) for _ in range(count)]

    @torch.no_grad()
    def draw(self, scenes: Sequence[Scene], side_px: int) -> torch.Tensor:
        """Return straight RGBA, (scenes, 4, side, side), -1 to 1; white where it is fully transparent."""
        drawn = self._backgrounds(scenes, side_px)
        for layer in range(max(len(scene.placed) for scene in scenes)):
            at = [index for index, scene in enumerate(scenes) if len(scene.placed) > layer]
            index = torch.tensor(at, device=self._device)
            over = self._layer([scenes[each].placed[layer] for each in at], side_px)
            drawn[index] = over + drawn[index] * (1 - over[:, 3:4])
        alpha = drawn[:, 3:4]
        white = torch.ones_like(drawn[:, :3])
        colour = torch.where(alpha > 1 / 255, drawn[:, :3] / alpha.clamp_min(1 / 255), white).clamp(0, 1)
        return torch.cat([colour, alpha], 1) * 2 - 1

    def _backgrounds(self, scenes: Sequence[Scene], side_px: int) -> torch.Tensor:
        """Return premultiplied RGBA."""
        top = self._tensor([scene.background.top for scene in scenes]) / 255
        bottom = self._tensor([scene.background.bottom for scene in scenes]) / 255
        alpha = self._tensor([[scene.background.alpha] for scene in scenes])[:, :, None, None]
        down = torch.linspace(0, 1, side_px, device=self._device)[None, None, :, None]
        colour = top[:, :, None, None] * (1 - down) + bottom[:, :, None, None] * down
        whole = torch.cat([colour * alpha, alpha.expand(-1, 1, side_px, 1)], 1)
        return whole.expand(-1, -1, -1, side_px).contiguous()

    def _layer(self, placed: Sequence[Placed], side_px: int) -> torch.Tensor:
        """Return one glyph of each scene where it belongs, premultiplied."""
        pictures = (
            self._pictures[torch.tensor([each.picture for each in placed], device=self._device)].float() / 255
        )
        colour, alpha = pictures[:, :3], pictures[:, 3:4]
        tinted = [index for index, each in enumerate(placed) if each.tint is not None]
        if tinted:
            index = torch.tensor(tinted, device=self._device)
            tints = (
                self._tensor([COLOURS[placed[each].tint or ""] for each in tinted])[:, :, None, None] / 255
            )
            colour = colour.index_copy(0, index, _tint(colour[index], tints))
        x, y, half = (self._tensor([getattr(each, name) for each in placed]) for name in ("x", "y", "half"))
        where = torch.zeros(len(placed), 2, 3, device=self._device)
        where[:, 0, 0] = where[:, 1, 1] = 1 / half
        where[:, 0, 2], where[:, 1, 2] = -x / half, -y / half
        grid = functional.affine_grid(where, [len(placed), 4, side_px, side_px], align_corners=False)
        premultiplied = torch.cat([colour * alpha, alpha], 1)
        return functional.grid_sample(premultiplied, grid, align_corners=False)

    def _tensor(self, numbers: Sequence[object]) -> torch.Tensor:
        return torch.tensor(numbers, device=self._device).float()


def over(pictures: torch.Tensor, background: torch.Tensor | float) -> torch.Tensor:
    """Return straight RGBA pictures, -1 to 1, over a background of the same range; three channels."""
    alpha = (pictures[:, 3:4] + 1) / 2
    return pictures[:, :3] * alpha + background * (1 - alpha)


def _tint(colour: torch.Tensor, tint: torch.Tensor) -> torch.Tensor:
    """Return pictures in another colour: their shadows and lights stay."""
    weights = torch.tensor(LUMINANCE, device=colour.device)[None, :, None, None]
    light = (colour * weights).sum(1, keepdim=True)
    dark_half = tint * 0.22 + tint * (1 - 0.22) * (light * 2).clamp(0, 1)
    bright_half = tint + (tint * 0.35 + 0.65 - tint) * ((light - 0.5) * 2).clamp(0, 1) ** 1.5
    return torch.where(light < 0.5, dark_half, bright_half)  # noqa: PLR2004


def _load(path: Path, side_px: int) -> torch.Tensor:
    with Image.open(path) as image:
        small = image.convert("RGBA").resize((side_px, side_px), Image.Resampling.LANCZOS)
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
    return pixels.view(side_px, side_px, 4).permute(2, 0, 1)
