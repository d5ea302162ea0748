"""A picture with the grain and edges of a photograph, encoded in place of what random weights draw.

Random weights draw noise, which no file format makes smaller: its files are twice as large as a photograph's.
The picture is put in where every contender's pipeline hands its pictures out, behind all the arithmetic.
"""

from typing import Any, Final

import torch

OCTAVES: Final = 7
GRAIN: Final = 0.008
"""Of a sensor: the standard deviation of what differs from one pixel to the next, of 1."""


class Photograph:
    """Stands behind the last step of a pipeline, and of all copies of it that share their image processor."""

    def __init__(self, pipeline: Any) -> None:  # noqa: ANN401 - diffusers is untyped
        self.is_shown = False
        """Whether the picture is handed out, or what was drawn."""
        self._kept: dict[tuple[object, ...], torch.Tensor] = {}
        self._drawn = pipeline.image_processor.postprocess
        pipeline.image_processor.postprocess = self._postprocess

    def _postprocess(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the pipeline's own
        drawn = self._drawn(*args, **kwargs)
        return self._instead_of(drawn) if self.is_shown else drawn

    def _instead_of(self, drawn: torch.Tensor) -> torch.Tensor:
        height, width = drawn.shape[-2:]
        key = (height, width, drawn.dtype, drawn.device)
        if key not in self._kept:
            self._kept[key] = photograph(width, height).to(drawn)
        colours = self._kept[key].expand(len(drawn), -1, -1, -1)
        return torch.cat([colours, drawn[:, 3:]], dim=1)


def photograph(width: int, height: int) -> torch.Tensor:
    """Return always the same picture, (3, height, width), 0 to 1.

    Its contrast grows with the size of what differs, as in photographs of anything (amplitudes fall with one
    over the frequency), a disc has a sharp edge, and there is grain.
    """
    generator = torch.Generator().manual_seed(0)
    picture = torch.full((1, 3, height, width), 0.45)
    for octave in range(OCTAVES):
        cells = 2 ** (octave + 1)
        coarse = torch.randn(1, 3, cells + 1, cells + 1, generator=generator)
        # Light and shade are mostly the same in all three colours.
        coarse = 0.8 * coarse.mean(dim=1, keepdim=True) + 0.3 * coarse
        picture += 0.25 / cells * _smooth(coarse, width, height)
    # A disc of half the picture's height.
    across, down = torch.meshgrid(torch.linspace(-1, 1, width), torch.linspace(-1, 1, height), indexing="xy")
    disc = ((across - 0.2) ** 2 + (down + 0.1) ** 2 < 1 / 4).float()
    picture = picture + 0.25 * disc * torch.tensor([1.0, 0.3, 0.1]).view(1, 3, 1, 1)
    grain = torch.randn(1, 3, height, width, generator=generator)
    return (picture + GRAIN * grain).clamp(0, 1)[0]


def _smooth(coarse: torch.Tensor, width: int, height: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
