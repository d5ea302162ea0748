"""Whether a stage in one mode gives what it gives in its plain form."""

from collections.abc import Sequence
from typing import Final

import torch

EXACT: Final = 1e-3
"""The largest relative error of a mode whose arithmetic is that of the plain form."""
INEXACT: Final[dict[torch.dtype, float]] = {torch.bfloat16: 2e-2, torch.float16: 3e-3, torch.float32: 1e-4}
"""That of other arithmetic, by the precision of the stage, where its own error is not known.

What FLUX.2 [klein] in bfloat16 and SD-Turbo in float16 have against float32 themselves, and a little more
(docs/performance.md)."""


def relative_error(found: Sequence[torch.Tensor], plain: Sequence[torch.Tensor]) -> float:
    """Return the largest relative error of several results: the difference's norm over the plain's.

    Not a number anywhere, or another shape, is an infinite error.
    """
    if len(found) != len(plain):
        return float("inf")
    return max((_error(one, other) for one, other in zip(found, plain, strict=True)), default=0.0)


def _error(found: torch.Tensor, plain: torch.Tensor) -> float:
    if found.shape != plain.shape:
        return float("inf")
    if found.dtype == plain.dtype and torch.equal(found, plain.to(found.device)):
        return 0.0
    found, plain = found.double(), plain.to(found.device).double()
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    norm = float(plain.norm())
    return float((found - plain).norm()) / norm if norm > 0 else float("inf")
