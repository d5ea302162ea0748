"""Who is compared. Each takes arrivals, in real time, up to an encoded file each.

B0  the stock pipeline, one request at a time.
B1  static batches: requests alike in everything but words and seed that wait together share one call, first
    come, first served. As SGLang Diffusion does.
B2  step batching of equal keys: alike requests join and leave a running batch at any step, decoding and
    encoding between the steps. As vLLM-Omni does. By our own row adapters, so only the policy differs.
B3  the stock pipeline as diffusers' own guide to performance says (guide.py), as B0 and as B1 are.
Ours  the engine.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import torch
from typing_extensions import override

from benchmarks.engine.work import Arrival, Outcome
from worker.engine import Engine, ImageRequest, ImageResult
from worker.engine.models.arguments import call_arguments
from worker.engine.models.loading import LoadedModel
from worker.engine.pictures.codecs import encode
from worker.engine.pictures.pixels import to_picture, to_pixels, to_tensor
from worker.engine.rows.buckets import Key
from worker.engine.rows.caps import Caps
from worker.engine.rows.decoding import Undecoded, decode
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.row import Row

WAIT_S = 900


class Contender(Protocol):
    """One way to serve requests."""

    name: str

    def run(self, arrivals: Sequence[Arrival]) -> Outcome:
        """Serve requests as they come."""

    def together(self, request: ImageRequest) -> int:
        """Return how many requests like this one it draws together at most."""


class Line:
    """The requests that have come by now, first come first, and when each was answered."""

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self._coming = deque(arrivals)
        self._began_at = time.perf_counter()
        self._latencies_s: list[float] = []
        self.waiting: deque[Arrival] = deque()

    def look(self, *, patiently: bool) -> bool:
        """Take in who has come; wait for the next where told to. False when nobody is left or comes."""
        while True:
            now_s = time.perf_counter() - self._began_at
            while self._coming and self._coming[0].at_s <= now_s:
                self.waiting.append(self._coming.popleft())
            if self.waiting or not patiently or not self._coming:
                return bool(self.waiting or self._coming)
            time.sleep(max(0.0, self._coming[0].at_s - now_s))

    def answer(self, arrival: Arrival) -> None:
        """Note that a request has its file."""
        self._latencies_s.append(time.perf_counter() - self._began_at - arrival.at_s)

    def outcome(self) -> Outcome:
        """Return what came of it."""
        return Outcome(tuple(self._latencies_s), time.perf_counter() - self._began_at)


def key(request: ImageRequest) -> tuple[object, ...]:
    """Return what requests of one static batch have in common."""
    return (request.width, request.height, request.steps, request.guidance, request.negative_prompt)


def _cap(caps: Caps, model: LoadedModel, request: ImageRequest) -> int:
    return caps.of(Key(request.model, *model.spec.sizes.generated(request.width, request.height), 0))


def to_file(model: LoadedModel, request: ImageRequest, pixels: Any) -> bytes:  # noqa: ANN401
    """Resample and encode, as every contender must."""
    picture = to_picture(pixels, request.width, request.height, model.spec.sizes)
    return encode(picture, request.output_format, request.output_compression)


class StaticBatches(Contender):
    """B1, and with a cap of 1 B0, and both of B3: the pipeline's own call."""

    def __init__(
        self, name: str, model: LoadedModel, caps: Caps, alone: "StaticBatches | None" = None
    ) -> None:
        """Remember how to draw.

        Args:
            name: of the contender.
            model: to draw with.
            caps: how many requests share a call.
            alone: the contender that does the same one at a time; None if this is it.
        """
        self.name = name
        self.alone = alone
        self._model = model
        self._caps = caps

    @override
    def run(self, arrivals: Sequence[Arrival]) -> Outcome:
        line = Line(arrivals)
        while line.look(patiently=True):
            batch = self._take(line)
            self.draw([each.request for each in batch])
            for each in batch:
                line.answer(each)
        return line.outcome()

    def _take(self, line: Line) -> list[Arrival]:
        wanted = key(line.waiting[0].request)
        cap = self.together(line.waiting[0].request)
        batch = [each for each in line.waiting if key(each.request) == wanted][:cap]
        for each in batch:
            line.waiting.remove(each)
        return batch

    @override
    def together(self, request: ImageRequest) -> int:
        return _cap(self._caps, self._model, request)

    def draw(self, requests: Sequence[ImageRequest]) -> list[bytes]:
        """Draw alike requests in one call."""
        pipeline, kept = self._model.pipeline, self._model.pipeline.scheduler
        pipeline.scheduler = self._model.fresh_scheduler()
        arguments = call_arguments(self._model, requests[0])
        arguments["prompt"] = [call_arguments(self._model, each)["prompt"] for each in requests]
        generators = [torch.Generator("cpu").manual_seed(each.seeds[0]) for each in requests]
        with torch.inference_mode():
            images = pipeline(**arguments, generator=generators).images
            pixels = [to_pixels(to_tensor(image), keep_alpha=False) for image in images]
        pipeline.scheduler = kept
        return [to_file(self._model, r, p) for r, p in zip(requests, pixels, strict=True)]


class StepBatches(Contender):
    """B2."""

    name = "B2 step batches of equal keys"

    def __init__(self, family: RowFamily, caps: Caps) -> None:
        self._model = family.model
        self._family = family
        self._caps = caps

    @override
    @torch.inference_mode()
    def run(self, arrivals: Sequence[Arrival]) -> Outcome:
        line = Line(arrivals)
        running: list[tuple[Arrival, Row]] = []
        while line.look(patiently=not running) or running:
            self._admit(line, running)
            predictions = self._family.predict([row for _, row in running])
            for (_, row), prediction in zip(running, predictions, strict=True):
                self._family.advance(row, prediction)
            for arrival, row in [each for each in running if each[1].is_done]:
                (pixels,) = decode(self._family, [Undecoded(row, row.latents, transparent=False)])
                to_file(self._model, arrival.request, pixels)
                line.answer(arrival)
                running.remove((arrival, row))
        return line.outcome()

    @override
    def together(self, request: ImageRequest) -> int:
        return _cap(self._caps, self._model, request)

    def _admit(self, line: Line, running: list[tuple[Arrival, Row]]) -> None:
        while line.waiting:
            first = line.waiting[0].request
            if len(running) >= self.together(first):
                return
            if running and key(first) != key(running[0][0].request):
                return
            arrival = line.waiting.popleft()
            arguments = call_arguments(self._model, first)
            running.append((arrival, self._family.prepare(arguments, first.seeds[0])))


class Ours(Contender):
    """The engine, asked from another thread as the worker's slots ask it."""

    name = "ours"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    def run(self, arrivals: Sequence[Arrival]) -> Outcome:
        began_at = time.perf_counter()
        latencies_s: list[float] = []
        futures, watcher = [], Nobody()
        try:
            for arrival in arrivals:
                time.sleep(max(0.0, arrival.at_s - (time.perf_counter() - began_at)))
                future = self._engine.submit(arrival.request, watcher)
                future.add_done_callback(_noting(latencies_s, began_at + arrival.at_s))
                futures.append(future)
            results = [future.result(WAIT_S) for future in futures]
        finally:
            # Where the time was over, what is left must not run into the next one's.
            watcher.leaves = True
        return Outcome(tuple(latencies_s), time.perf_counter() - began_at, _means(results))

    @override
    def together(self, request: ImageRequest) -> int:
        return self._engine.capacity

    def draw(self, requests: Sequence[ImageRequest]) -> list[bytes]:
        """Draw requests together; the first file of each."""
        futures = [self._engine.submit(each, Nobody()) for each in requests]
        return [future.result(WAIT_S).images[0] for future in futures]


class Nobody:
    """Watches nothing."""

    def __init__(self) -> None:
        self.leaves = False
        """Whether the requests are given up."""

    def on_step(self, step: int, steps: int) -> None:
        """Take no note."""

    def stop_requested(self) -> bool:
        """Whether nobody waits any more."""
        return self.leaves


def _means(results: Sequence[ImageResult]) -> dict[str, float]:
    """Return what a request spent in each stage, on average."""
    stages = dict.fromkeys(stage for result in results for stage in result.timings_s)
    return {
        stage: sum(result.timings_s.get(stage, 0.0) for result in results) / len(results) for stage in stages
    }


def _noting(latencies_s: list[float], asked_at: float) -> Callable[[Future[ImageResult]], None]:
    def note(_: Future[ImageResult]) -> None:
        latencies_s.append(time.perf_counter() - asked_at)

    return note
