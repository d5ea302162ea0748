"""Where text is encoded and latents are decoded: beside the ticks on a GPU, between them on a CPU.

On a CPU a second thread takes the cores of the ticks: measured on two busy cores with the shipped model, a
thread beside them was 0.9 to 1.2 times as fast as decoding between them, and one request at a time, as a CPU
draws, gains nothing from it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import torch
from typing_extensions import override

T = TypeVar("T")

TICKS_AHEAD = 2
"""How many ticks may be handed to a GPU before the first of them is done."""


class Beside(Protocol):
    """Runs what is not a tick."""

    def run(self, work: Callable[[], T]) -> Future[T]:
        """Run something now or soon; in order."""

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Let the ticks use tensors that were made here."""

    def pace(self) -> None:
        """Called after each tick; keeps the thread from running far ahead of the device."""

    def close(self) -> None:
        """Finish what was begun, and stop."""


class Between(Beside):
    """On the engine's own thread, at once."""

    @override
    def run(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - whoever reads the future gets it
            future.set_exception(error)
        return future

    @override
    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        pass

    @override
    def pace(self) -> None:
        pass

    @override
    def close(self) -> None:
        pass


class SecondStream(Beside):
    """On one other thread and a CUDA stream of its own, so that the ticks go on meanwhile."""

    def __init__(self, device: torch.device, wake: Callable[[], None]) -> None:
        """Start the thread.

        Args:
            device: a CUDA device.
            wake: called, on the other thread, when something is done.
        """
        self._device = device
        self._wake = wake
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._ticks: deque[torch.cuda.Event] = deque()

    @override
    def run(self, work: Callable[[], T]) -> Future[T]:
        ticks = torch.cuda.current_stream(self._device).record_event()
        future = self._thread.submit(self._run, work, ticks)
        future.add_done_callback(lambda _: self._wake())
        return future

    def _run(self, work: Callable[[], T], ticks: torch.cuda.Event) -> T:
        with torch.inference_mode(), torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            self._stream.wait_event(ticks)
            result = work()
            # Only this thread waits; the ticks' stream goes on.
            self._stream.synchronize()
            return result

    @override
    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        # Otherwise their memory might be given to something on this stream while a tick still reads it.
        stream = torch.cuda.current_stream(self._device)
        for tensor in tensors:
            if tensor.is_cuda:
                tensor.record_stream(stream)

    @override
    def pace(self) -> None:
        self._ticks.append(torch.cuda.current_stream(self._device).record_event())
        if len(self._ticks) > TICKS_AHEAD:
            self._ticks.popleft().synchronize()

    @override
    def close(self) -> None:
        self._thread.shutdown()


def beside_ticks(device: torch.device, wake: Callable[[], None]) -> Beside:
    """Return where a device's other work runs."""
    return SecondStream(device, wake) if device.type == "cuda" else Between()
