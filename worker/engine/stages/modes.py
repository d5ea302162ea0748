"""Ways in which a stage can be run faster. Each is tried on the operator's own device, or left out.

A mode changes a stage in place and can change it back. Whether it pays, and whether what comes out is still
what came out before, is for the tuner to find out.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, Protocol

import torch
from diffusers import attention_backend
from typing_extensions import override

from worker.engine.stages.graphs import Recorder
from worker.engine.stages.stage import Stage


class Mode(Protocol):
    """One way of running a stage."""

    name: str
    exact: bool
    """Whether its arithmetic is that of the plain form: results differ by the order of additions at most."""
    slow: bool
    """Whether trying it takes more than some seconds."""
    alone: bool
    """Whether it is only for one image at a time; several together run as if they came one by one."""

    def applies(self, stage: Stage) -> bool:
        """Whether it says anything to this stage."""

    def apply(self, stage: Stage) -> None:
        """Change the stage.

        Raises:
            Exception: it cannot be done here.
        """

    def undo(self, stage: Stage) -> None:
        """Change the stage back; also after ``apply`` has raised half-way."""


class Layout(Mode):
    """Convolutions' weights in another order: what tensor cores read, or what they need not turn around."""

    exact, slow, alone = False, False, False  # other kernels, which add in another order

    def __init__(self, memory_format: torch.memory_format) -> None:
        self.name = "channels last" if memory_format is torch.channels_last else "contiguous"
        self._memory_format = memory_format
        self._other = torch.contiguous_format if memory_format is torch.channels_last else torch.channels_last

    @override
    def applies(self, stage: Stage) -> bool:
        dimensions = {weight.dim() for weight in stage.module.parameters()}
        # A convolution over three dimensions knows no such layout.
        return 4 in dimensions and 5 not in dimensions and not self._is_so(stage)  # noqa: PLR2004

    @override
    def apply(self, stage: Stage) -> None:
        stage.module.to(memory_format=self._memory_format)  # type: ignore[call-overload]

    @override
    def undo(self, stage: Stage) -> None:
        stage.module.to(memory_format=self._other)  # type: ignore[call-overload]

    def _is_so(self, stage: Stage) -> bool:
        return all(each.is_contiguous(memory_format=self._memory_format) for each in _kernels(stage.module))


class BenchmarkedConvolutions(Mode):
    """The fastest kernel for each convolution, found by cuDNN at its first run. All of a process is in it."""

    name, exact, slow, alone = "cudnn benchmark", False, False, False

    def __init__(self) -> None:
        self._was_on = False

    @override
    def applies(self, stage: Stage) -> bool:
        return any(True for _ in _kernels(stage.module))

    @override
    def apply(self, stage: Stage) -> None:
        # Another stage may have kept it.
        self._was_on = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True

    @override
    def undo(self, stage: Stage) -> None:
        torch.backends.cudnn.benchmark = self._was_on


class AttentionBackend(Mode):
    """Another kernel for attention, by the name that diffusers gives it."""

    exact, slow, alone = False, False, False

    def __init__(self, backend: str) -> None:
        self.name = f"attention {backend.strip('_').replace('_', ' ')}"
        self._backend = backend

    @override
    def applies(self, stage: Stage) -> bool:
        return hasattr(stage.module, "set_attention_backend")

    @override
    def apply(self, stage: Stage) -> None:
        # Else what is set for one network would be for every other, of other models too.
        with attention_backend():  # type: ignore[no-untyped-call]
            stage.module.set_attention_backend(self._backend)  # type: ignore[operator]

    @override
    def undo(self, stage: Stage) -> None:
        stage.module.reset_attention_backend()  # type: ignore[operator]


class CompiledBlocks(Mode):
    """The blocks that a network repeats, compiled one for all; or all of a decoder, which has none.

    For every size: a network that were compiled for its native size alone would be slow at all others. A
    number of images of its own is compiled by torch for one image, and another for several. A decoder gains
    nothing from several, and takes most of a minute to compile, so it runs one at a time.
    """

    name, exact, slow = "compile", False, True

    def __init__(self, *, alone: bool, backend: str = "inductor") -> None:
        """Begin with nothing compiled.

        Args:
            alone: for one image at a time.
            backend: one of torch's; others than its own do not make anything faster.
        """
        self.alone = alone
        self._backend = backend
        self._turned: list[torch.nn.Module] = []

    @override
    def applies(self, stage: Stage) -> bool:
        # A UNet repeats no blocks, and took a minute for each number of images (decision 26).
        return stage.name == "decode" or bool(repeated_blocks(stage.module))

    @override
    def apply(self, stage: Stage) -> None:
        # For sizes that are not known, what torch compiles keeps the order in which convolutions have their
        # weights: with this one they are more than twice as fast.
        turned = Layout(torch.channels_last)
        if turned.applies(stage):
            turned.apply(stage)
            self._turned.append(stage.module)
        for block in repeated_blocks(stage.module) or [stage.module]:
            block.forward = torch.compile(block.forward, fullgraph=True, dynamic=True, backend=self._backend)

    @override
    def undo(self, stage: Stage) -> None:
        for block in repeated_blocks(stage.module) or [stage.module]:
            # The class's own is still there below it.
            block.__dict__.pop("forward", None)
        if stage.module in self._turned:
            self._turned.remove(stage.module)
            Layout(torch.channels_last).undo(stage)


class Recorded(Mode):
    """Recordings of whole runs, played without Python."""

    name, exact, slow, alone = "graph", True, False, False

    def __init__(self, recorder: Recorder, counts: tuple[int, ...]) -> None:
        self._recorder = recorder
        self._counts = counts

    @override
    def applies(self, stage: Stage) -> bool:
        return bool(stage.graphs)

    @override
    def apply(self, stage: Stage) -> None:
        with ExitStack() as recording:
            for graphs in stage.graphs:
                graphs.turn_on(self._recorder, self._counts)
                recording.enter_context(graphs.recording())
            # The largest first: the smaller ones find room in its memory.
            for count in reversed(self._counts):
                # Of other images than those that are compared: what is recorded must not be their numbers.
                stage.run(count, 1)

    @override
    def undo(self, stage: Stage) -> None:
        for graphs in stage.graphs:
            graphs.turn_off()


class FewerLayers(Mode):
    """A text encoder that computes no further than what is read of it: not all layers, and no words."""

    name, exact, slow, alone = "fewer layers", True, False, False

    def __init__(self, read: int) -> None:
        """Remember how many layers are read, from the first on."""
        self._read = read

    @override
    def applies(self, stage: Stage) -> bool:
        return stage.name == "text" and bool(self._unread(stage))

    @override
    def apply(self, stage: Stage) -> None:
        for part in self._unread(stage):
            part.forward = _as_it_is

    @override
    def undo(self, stage: Stage) -> None:
        for part in self._unread(stage):
            part.__dict__.pop("forward", None)

    def _unread(self, stage: Stage) -> list[torch.nn.Module]:
        encoder: Any = stage.module
        layers = getattr(getattr(encoder, "model", encoder), "layers", [])[self._read :]
        head = getattr(encoder, "lm_head", None)
        return [*layers, *([head] if head is not None else [])]


def _as_it_is(states: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    return states


def repeated_blocks(module: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the blocks of which a network has several in a row, all of one class."""
    lists = [child for child in module.children() if isinstance(child, torch.nn.ModuleList)]
    alike = [blocks for blocks in lists if len(blocks) > 1 and len(set(map(type, blocks))) == 1]
    return [block for blocks in alike for block in blocks]


def _kernels(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    return (weight for weight in module.parameters() if weight.dim() == 4)  # noqa: PLR2004


ATTENTION_BACKENDS: Final = ("_native_cudnn", "_native_flash", "_native_efficient", "flash", "_flash_3")
