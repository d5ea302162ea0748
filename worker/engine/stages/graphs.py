"""Recorded runs of a stage: at fixed shapes a GPU replays them without Python telling it each kernel.

A run is recorded at a few numbers of entries (1, 2, 4, …); one with fewer entries is padded to the next. It
reads and writes tensors of its own, so inputs are copied in and outputs are copied out: pipelines and
schedulers keep what they are given, while the same recording is played again.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch

from worker.engine.stages.inputs import Inputs, Shape

O = TypeVar("O")  # noqa: E741 - what a run brings


class Recording(Protocol[O]):
    """One recorded run."""

    output: O

    def play(self) -> None:
        """Compute the output anew from what the inputs hold now."""


class Recorder(Protocol):
    """Records runs on a device."""

    def record(self, run: Callable[[], O]) -> Recording[O]:
        """Record a run.

        Raises:
            Exception: it cannot be recorded: it waits for the device, or its memory is short.
        """


@dataclass(frozen=True, eq=False)
class _Kept(Generic[O]):
    inputs: Inputs
    recording: Recording[O]


@dataclass
class _OfShape(Generic[O]):
    """The recordings of one shape by their entries, and what is asked of it without one."""

    kept: dict[int, _Kept[O]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    wanted: dict[int, int] = field(default_factory=dict)
    example: Inputs | None = None


class Graphs(Generic[O]):
    """Plays a stage's recordings, and remembers which would be worth making."""

    def __init__(self, run: Callable[[Inputs], O], room: int = 8) -> None:
        """Begin with none, and on a device that makes none.

        Args:
            run: the stage.
            room: most shapes that are kept; the one unused for longest goes.
        """
        self._run = run
        self._room = room
        self._recorder: Recorder | None = None
        self._counts: tuple[int, ...] = ()
        self._shapes: OrderedDict[Shape, _OfShape[O]] = OrderedDict()
        self._records = False

    def __call__(self, inputs: Inputs) -> O:
        """Return the stage's output, (entries, …)."""
        if self._recorder is None:
            return self._run(inputs)
        if self._records and (count := self.count(inputs.entries)) is not None:
            self.record(inputs, count)
        played = self.play(inputs)
        return played if played is not None else self._run(inputs)

    @property
    def is_on(self) -> bool:
        """Whether recordings are played."""
        return self._recorder is not None

    def turn_on(self, recorder: Recorder, counts: tuple[int, ...]) -> None:
        """Play recordings from now on.

        Args:
            recorder: of the device.
            counts: numbers of entries at which to record, ascending.
        """
        self._recorder, self._counts = recorder, counts

    def turn_off(self) -> None:
        """Drop every recording and run as if there had been none."""
        self._recorder = None
        self._shapes.clear()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record every run meanwhile, at the number of entries to which it is padded."""
        self._records = True
        try:
            yield
        finally:
            self._records = False

    def count(self, entries: int) -> int | None:
        """Return the number of entries at which so many are run; None where there are too many."""
        at = bisect_left(self._counts, entries)
        return self._counts[at] if at < len(self._counts) else None

    def play(self, inputs: Inputs) -> O | None:
        """Return the output for inputs, (entries, …); None without a recording."""
        count = self.count(inputs.entries)
        if count is None:
            return None
        of_shape = self._of(inputs.shape)
        kept = of_shape.kept.get(count)
        if kept is None:
            of_shape.wanted[count] = of_shape.wanted.get(count, 0) + 1
            of_shape.example = inputs
            return None
        for mine, given in zip(kept.inputs.tensors(), inputs.padded(count).tensors(), strict=True):
            mine.copy_(given, non_blocking=True)
        kept.recording.play()
        output: O = copied_entries(kept.recording.output, inputs.entries)
        return output

    def record(self, inputs: Inputs, count: int) -> None:
        """Record a run like this one at a number of entries.

        Raises:
            Exception: whatever the recorder raises; it is not tried again.
        """
        if self._recorder is None:
            return
        of_shape = self._of(inputs.shape)
        of_shape.wanted.pop(count, None)
        own = _resized(inputs, count).cloned()
        try:
            of_shape.kept[count] = _Kept(own, self._recorder.record(lambda: self._run(own)))
        except Exception:
            of_shape.refused.add(count)
            raise

    def wanted(self, least: int) -> tuple[Inputs, int] | None:
        """Return the run without a recording that was asked for most, where it was so often."""
        found = [
            (times, shape, count)
            for shape, of_shape in self._shapes.items()
            for count, times in of_shape.wanted.items()
            if times >= least and count not in of_shape.refused
        ]
        if not found:
            return None
        _, shape, count = max(found, key=lambda each: each[0])
        example = self._shapes[shape].example
        return (example, count) if example is not None else None

    def _of(self, shape: Shape) -> _OfShape[O]:
        if shape not in self._shapes:
            self._shapes[shape] = _OfShape()
            if len(self._shapes) > self._room:
                self._shapes.popitem(last=False)
        self._shapes.move_to_end(shape)
        return self._shapes[shape]


def copied_entries(output: Any, entries: int) -> Any:  # noqa: ANN401 - tensors in whatever a module returns
    """Return a copy of the first entries of every tensor of an output."""
    if isinstance(output, torch.Tensor):
        return output[:entries].clone()
    if isinstance(output, Mapping):
        taken = {name: copied_entries(value, entries) for name, value in output.items()}
        return type(output)(**taken)
    if isinstance(output, tuple | list):
        return type(output)(copied_entries(each, entries) for each in output)
    return output


def _resized(inputs: Inputs, entries: int) -> Inputs:
    """Return the first entries, or as many as asked for with the last repeated."""
    if inputs.entries <= entries:
        return inputs.padded(entries)
    return Inputs({name: each[:entries] for name, each in inputs.batched.items()}, inputs.shared)
