"""A recorder for devices without graphs: it replays by running again, on the tensors that were recorded."""

from collections.abc import Callable
from typing import Any

import torch


class FakeRecording:
    """What a run brings, over the numbers that its inputs have when it is played."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self.output = run()
        self.played = 0

    def play(self) -> None:
        self.played += 1
        overwrite(self.output, self._run())


class FakeRecorder:
    """Records by keeping the run; refuses while ``refusing`` is an error."""

    def __init__(self) -> None:
        self.recorded: list[FakeRecording] = []
        self.refusing: Exception | None = None

    def record(self, run: Callable[[], Any]) -> FakeRecording:
        if self.refusing is not None:
            raise self.refusing
        self.recorded.append(FakeRecording(run))
        return self.recorded[-1]


def overwrite(output: Any, found: Any) -> None:
    """Put what was found into the very tensors of an output, as a graph does."""
    if isinstance(output, torch.Tensor):
        output.copy_(found)
    elif isinstance(output, dict):
        for name in output:
            overwrite(output[name], found[name])
    elif isinstance(output, tuple | list):
        for one, other in zip(output, found, strict=True):
            overwrite(one, other)
