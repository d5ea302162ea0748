"""A training run that can be cut at any moment and goes on: its budget, its random numbers, its checkpoints.

The random numbers of a step come from the seed and the step's number alone, so a run that was cut ends with
the very weights of one that was not (on a CPU, bit by bit).
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch

from training.config import Config
from training.files import load, save

Loss = Callable[["Step"], torch.Tensor]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Budget:
    """How long a stage runs: so many steps, or so many minutes over all its runs.

    The learning rate follows the share of the budget that is spent.
    """

    steps: int
    minutes: float | None = None

    def spent(self, steps: int, seconds: float) -> float:
        """Return the share that is spent; 1 or more at the end."""
        if self.minutes is not None:
            return seconds / (60 * self.minutes)
        return steps / self.steps


@dataclass(frozen=True)
class Step:
    """One step: its number from 0, its share of the budget, and its own random numbers."""

    number: int
    share: float
    rng: Random
    noise: torch.Generator


@dataclass
class Run:
    """One stage: what is trained, and the averages that are kept of it."""

    config: Config
    networks: dict[str, Any]
    optimizer: torch.optim.Optimizer
    rate: Callable[[Step], float]
    checkpoint: Path
    average: float
    steps: int = 0
    seconds: float = 0.0
    averaged: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.averaged = {name: copy.deepcopy(network).eval() for name, network in self.networks.items()}
        if self.checkpoint.exists():
            self._resume(load(self.checkpoint))

    def train(self, loss: Loss, budget: Budget, say: Say) -> None:
        """Train until the budget is spent; keep what was reached every so often, and at the end."""
        parameters = [p for network in self.networks.values() for p in network.parameters()]
        for step in self._steps(budget):
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(step)
            value = loss(step)
            self.optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            self.optimizer.step()
            self._average()
            if step.number % max(1, self.config.save_every // 5) == 0:
                say(f"step {step.number + 1}, {step.share:.1%}: loss {value.item():.4f}")
        self._save()

    def _steps(self, budget: Budget) -> Iterator[Step]:
        began_at = time.monotonic() - self.seconds
        while (share := budget.spent(self.steps, self.seconds)) < 1:
            words = f"{self.config.seed} {self.checkpoint.stem} {self.steps}"
            rng = Random(words)
            yield Step(self.steps, share, rng, torch.Generator().manual_seed(rng.getrandbits(63)))
            self.steps += 1
            self.seconds = time.monotonic() - began_at
            if self.steps % self.config.save_every == 0:
                self._save()

    @torch.no_grad()
    def _average(self) -> None:
        kept = min(self.average, 1 - 1 / (self.steps / 10 + 1))
        for name, network in self.networks.items():
            torch._foreach_lerp_(list(self.averaged[name].parameters()), list(network.parameters()), 1 - kept)

    def _save(self) -> None:
        save(
            self.checkpoint,
            {
                "steps": self.steps,
                "seconds": self.seconds,
                "optimizer": self.optimizer.state_dict(),
                "networks": {name: network.state_dict() for name, network in self.networks.items()},
                "averaged": {name: network.state_dict() for name, network in self.averaged.items()},
            },
        )

    def _resume(self, kept: dict[str, Any]) -> None:
        self.steps, self.seconds = kept["steps"], kept["seconds"]
        self.optimizer.load_state_dict(kept["optimizer"])
        for name, network in self.networks.items():
            network.load_state_dict(kept["networks"][name])
            self.averaged[name].load_state_dict(kept["averaged"][name])


def device() -> torch.device:
    """Return the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def normal(step: Step, shape: torch.Size | tuple[int, ...], where: torch.device) -> torch.Tensor:
    """Return the step's next normal noise."""
    return torch.randn(shape, generator=step.noise).to(where)
