"""What rows hand to a denoiser together, entry by entry, and which part of its output is whose."""

from collections.abc import Iterator, Sequence

import torch

from worker.engine.rows.row import Row


def gather(rows: Sequence[Row], *names: str) -> dict[str, torch.Tensor]:
    """Return each of these of every entry, (entries, …); what the entries do not have is left out."""
    return {
        name: torch.cat([entry[name] for row in rows for entry in row.entries])
        for name in names
        if name in rows[0].entries[0]
    }


def repeat_latents(rows: Sequence[Row]) -> torch.Tensor:
    """Return the latents once for every entry, (entries, …)."""
    return torch.cat([row.latents for row in rows for _ in row.entries])


def timesteps_now(rows: Sequence[Row]) -> torch.Tensor:
    """Return the timestep of every entry, (entries,), float32."""
    return torch.stack([row.timestep.float() for row in rows for _ in row.entries])


def by_row(rows: Sequence[Row], output: torch.Tensor) -> Iterator[tuple[Row, torch.Tensor]]:
    """Take a batch's output apart; (1 or 2, …) for each row."""
    return zip(rows, torch.split(output, [len(row.entries) for row in rows]), strict=True)
