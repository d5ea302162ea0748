"""Classifier-free guidance of one row."""

import torch

from worker.engine.rows.row import Row


def guide(row: Row, output: torch.Tensor) -> torch.Tensor:
    """Lead away from the first entry towards the second; (1 or 2, …) to (1, …)."""
    if len(row.entries) == 1:
        return output
    negative, positive = output.chunk(2)
    return negative + row.guidance * (positive - negative)
