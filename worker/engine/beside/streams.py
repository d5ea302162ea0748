"""Where text is encoded and latents are decoded: beside the ticks on a GPU, between them on a CPU.

On a CPU a second thread takes the cores of the ticks: measured on two busy cores with the shipped model, a
thread beside them was 0.9 to 1.2 times as fast as decoding between them, and one request at a time, as a CPU
draws, gains nothing from it.
"""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from typing_extensions import override

from worker.engine.beside.groups import Kind, Waiting, do, take
from worker.engine.timed import Timed

I = TypeVar("I")  # noqa: E741 - an item
O = TypeVar("O")  # noqa: E741 - what it brings

TICKS_AHEAD = 2
"""How many ticks may be handed to a GPU before the first of them is done."""
AHEAD_THREADS = 2
"""Noise is drawn on them: 12 ms for 1024x1024 in bfloat16, far longer than anything else of preparing."""


class Beside(ABC):
    """Does what is not a tick, and orders memory and time between that and the ticks."""

    overlaps: bool
    """Whether ticks go on meanwhile."""

    @abstractmethod
    def add(self, kind: Kind[I, O], item: I) -> Future[Timed[O]]:
        """Do something now or soon, together with what waits beside it; kinds in the order of their first.

        Those of low priority wait until there are no others.
        """

    def ahead(self, work: Callable[[], O]) -> Future[O]:
        """Do something that asks nothing of the device, now or soon, on whatever thread."""
        future: Future[O] = Future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            future.set_exception(error)
        return future

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Let the ticks use tensors that were made here."""
        del tensors

    def pace(self, ahead: int = TICKS_AHEAD) -> None:
        """Keep the thread from running further ahead of the device than so many ticks; called after each."""
        del ahead

    def close(self) -> None:
        """Finish what was begun, and stop."""
        return


class Between(Beside):
    """On the engine's own thread, at once, so that nothing ever waits beside it."""

    overlaps = False

    @override
    def add(self, kind: Kind[I, O], item: I) -> Future[Timed[O]]:
        waiting = Waiting(kind, item)
        do([waiting])
        return waiting.future


class OtherThread(Beside):
    """On one other thread; what comes while it works waits and then goes through together."""

    overlaps = True

    def __init__(self, wake: Callable[[], None]) -> None:
        """Start the thread.

        Args:
            wake: called, on the other thread, when something is done.
        """
        self._wake = wake
        self._waiting: list[Waiting[object, object]] = []
        self._ahead = ThreadPoolExecutor(AHEAD_THREADS, thread_name_prefix="ahead")
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="beside", daemon=True)
        self._thread.start()

    @override
    def add(self, kind: Kind[I, O], item: I) -> Future[Timed[O]]:
        waiting = Waiting(kind, item)
        with self._changed:
            self._waiting.append(waiting)  # type: ignore[arg-type]
            self._changed.notify()
        return waiting.future

    @override
    def ahead(self, work: Callable[[], O]) -> Future[O]:
        future = self._ahead.submit(_inferring, work)
        future.add_done_callback(lambda _: self._wake())
        return future

    @override
    def close(self) -> None:
        self._ahead.shutdown()
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while (together := self._next()) is not None:
            self._do(together)
            self._wake()

    def _next(self) -> list[Waiting[object, object]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return take(self._waiting) if self._waiting else None

    def _do(self, together: list[Waiting[object, object]]) -> None:
        with torch.inference_mode():
            do(together)


class SecondStream(OtherThread):
    """On one other thread and a CUDA stream of its own, so that the ticks' stream goes on meanwhile."""

    def __init__(self, device: torch.device, wake: Callable[[], None]) -> None:
        """Start the thread.

        Args:
            device: a CUDA device.
            wake: called, on the other thread, when something is done.
        """
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._ticks: deque[torch.cuda.Event] = deque()
        self._latest = torch.cuda.current_stream(device).record_event()
        super().__init__(wake)

    @override
    def add(self, kind: Kind[I, O], item: I) -> Future[Timed[O]]:
        # What the item was made of is done on the ticks' stream by then.
        self._latest = torch.cuda.current_stream(self._device).record_event()
        return super().add(kind, item)

    @override
    def _do(self, together: list[Waiting[object, object]]) -> None:
        with torch.inference_mode(), torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            self._stream.wait_event(self._latest)
            # Only this thread waits; the ticks' stream goes on.
            do(together, self._stream.synchronize)

    @override
    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        # Otherwise their memory might be given to something on this stream while a tick still reads it.
        stream = torch.cuda.current_stream(self._device)
        for tensor in tensors:
            if tensor.is_cuda:
                tensor.record_stream(stream)

    @override
    def pace(self, ahead: int = TICKS_AHEAD) -> None:
        self._ticks.append(torch.cuda.current_stream(self._device).record_event())
        while len(self._ticks) > ahead:
            self._ticks.popleft().synchronize()


def _inferring(work: Callable[[], O]) -> O:
    with torch.inference_mode():
        return work()


def beside_ticks(device: torch.device, wake: Callable[[], None]) -> Beside:
    """Return where a device's other work runs."""
    return SecondStream(device, wake) if device.type == "cuda" else Between()
