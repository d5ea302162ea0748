"""Recording on a CUDA device. Thin on purpose: it is the part that no test without a GPU runs."""

from collections.abc import Callable
from typing import TypeVar

import torch
from typing_extensions import override

from worker.engine.stages.graphs import Recorder, Recording

O = TypeVar("O")  # noqa: E741 - what a run brings

WARM_UPS = 2
"""Runs before the recorded one: in the first, libraries set themselves up, which no recording allows."""


class _CudaRecording(Recording[O]):
    def __init__(self, graph: torch.cuda.CUDAGraph, output: O) -> None:
        self._graph = graph
        self.output = output

    @override
    def play(self) -> None:
        self._graph.replay()


class CudaRecorder(Recorder):
    """Makes CUDA graphs. All share one pool of memory: they are never played at once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    @override
    def record(self, run: Callable[[], O]) -> Recording[O]:
        here = torch.cuda.current_stream(self._device)
        apart = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        apart.wait_stream(here)
        with torch.cuda.stream(apart):
            for _ in range(WARM_UPS):
                run()
        here.wait_stream(apart)
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        # The other stream's thread may allocate and launch meanwhile: only this thread's calls are watched.
        with torch.cuda.graph(graph, pool=self._pool, stream=apart, capture_error_mode="thread_local"):
            output = run()
        return _CudaRecording(graph, output)
