"""The engine's thread: takes requests from a queue, draws them on the device, hands pixels on to be encoded.

All device work happens on this one thread; encoding happens on others, so the next request is denoised
meanwhile. How a request is drawn is ``whole``'s business.
"""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from time import perf_counter

import torch

from shared.catalogue import ModelSpec
from shared.errors import AttemptCancelled, CatalogueError, DarkroomError, DeviceBroken, GenerationFailed
from worker.engine import whole
from worker.engine.devices import describe, pick_device, release_memory
from worker.engine.encoding import EncoderPool, Encoding
from worker.engine.failures import translate
from worker.engine.loading import LoadedModel
from worker.engine.request import ImageRequest, ImageResult, Watcher
from worker.engine.residents import Residents
from worker.engine.tokens import count_tokens
from worker.engine.warmup import warm_up

IDLE_TICK_S = 0.25
"""How often an idle engine shows that it is alive."""


@dataclass(frozen=True)
class _Work:
    request: ImageRequest
    watcher: Watcher
    future: Future[ImageResult] = field(default_factory=Future)
    submitted_at: float = field(default_factory=perf_counter)


class Engine:
    """Draws images on one device, one request at a time."""

    capacity = 1
    """How many images it can denoise together."""

    def __init__(
        self,
        specs: Mapping[str, tuple[ModelSpec, Path]],
        device: str = "auto",
        *,
        torch_threads: int | None = None,
    ) -> None:
        """Prepare an engine; nothing is loaded before ``start``.

        Args:
            specs: the models to serve by name, each with the folder of its weights; the first is loaded at
                the start, the others when they are first asked for.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            torch_threads: CPU threads of torch; by default torch's own choice.

        Raises:
            ConfigurationError: there is no such device, or no model.
        """
        if not specs:
            msg = "no model to serve: none is enabled and downloaded"
            raise CatalogueError(msg)
        self.last_tick_at = time.monotonic()
        self.loading = False
        """Whether it reads weights now: that may take minutes and shows no sign of life."""
        self._device = pick_device(device)
        self.device_name = describe(self._device)
        self._specs = specs
        self._torch_threads = torch_threads
        self._residents = Residents(specs, self._device)
        self._queue: Queue[_Work | None] = Queue()
        self._closing = threading.Event()
        self._broken: DeviceBroken | None = None
        self._ready: Future[None] = Future()
        self._encoders = EncoderPool()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread, load the first model and draw a first picture with it, which is thrown away.

        Raises:
            CatalogueError: the model cannot be loaded or drawn with.
        """
        self._thread.start()
        self._ready.result()

    def submit(self, request: ImageRequest, watcher: Watcher) -> Future[ImageResult]:
        """Queue a request; may be called from any thread.

        The future ends with the images or with ``AttemptCancelled``, ``OutOfDeviceMemory``,
        ``GenerationFailed`` or ``DeviceBroken``. Cancelling it works only while it is queued.
        """
        work = _Work(request, watcher)
        self._queue.put(work)
        if self._closing.is_set():
            self._refuse_queued()
        return work.future

    def close(self) -> None:
        """Stop: the running request stops at its next step, queued ones are refused."""
        self._closing.set()
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._refuse_queued()
        self._encoders.close()

    def _tick(self) -> None:
        """Show a sign of life; a closing engine gives the running request up here."""
        self.last_tick_at = time.monotonic()
        if self._closing.is_set():
            raise AttemptCancelled

    def _run(self) -> None:
        with torch.inference_mode():
            try:
                self._prepare()
            except BaseException as error:  # noqa: BLE001 - whoever starts the engine gets it
                self._closing.set()
                self._ready.set_exception(error)
                return
            self._ready.set_result(None)
            while (work := self._next()) is not None:
                self._serve(work)

    def _prepare(self) -> None:
        # OpenMP keeps the number of threads for each calling thread, so it is set on this one.
        torch.set_num_threads(self._torch_threads or torch.get_num_threads())
        warm_up(self._residents.get(next(iter(self._specs))))
        self.last_tick_at = time.monotonic()

    def _next(self) -> _Work | None:
        while not self._closing.is_set():
            self.last_tick_at = time.monotonic()
            try:
                return self._queue.get(timeout=IDLE_TICK_S)
            except Empty:
                continue
        return None

    def _serve(self, work: _Work) -> None:
        if not work.future.set_running_or_notify_cancel():
            return
        if self._broken is not None:
            work.future.set_exception(self._broken)
            return
        try:
            self._draw(work)
        except BaseException as error:  # noqa: BLE001 - one request's failure must not end the engine
            work.future.set_exception(self._failure(error, work.request.model))

    def _draw(self, work: _Work) -> None:
        request, stages = work.request, whole.Stages()
        started_at = perf_counter()
        model = self._resident(request.model)
        loaded_at = perf_counter()
        encoding = Encoding(request, model.spec.sizes)
        for pixels in whole.draw(model, request, work.watcher, self._tick, stages):
            self._encoders.add(encoding, pixels)
        timings_s = {
            "queue": started_at - work.submitted_at,
            "load": loaded_at - started_at,
            "denoise": stages.denoise_s,
            "decode": stages.decode_s,
        }
        self._encoders.finish(encoding, work.future, count_tokens(model.tokenizer, request.prompt), timings_s)

    def _resident(self, name: str) -> LoadedModel:
        self.loading = True
        try:
            return self._residents.get(name)
        except CatalogueError as error:
            msg = f"model {name!r} could not be loaded"
            raise GenerationFailed(msg) from error
        finally:
            self.last_tick_at = time.monotonic()
            self.loading = False

    def _failure(self, error: BaseException, model: str) -> DarkroomError:
        failure = translate(error, model)
        if failure is not error:
            failure.__cause__ = error
        if isinstance(failure, DeviceBroken):
            self._broken = failure
        else:
            release_memory(self._device)
        return failure

    def _refuse_queued(self) -> None:
        while True:
            try:
                work = self._queue.get_nowait()
            except Empty:
                return
            if work is not None and work.future.set_running_or_notify_cancel():
                work.future.set_exception(AttemptCancelled("the engine is closing"))
