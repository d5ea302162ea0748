"""The engine's thread: takes requests from a queue and lets the batcher draw them.

All ticks happen on this one thread; images are encoded on others, and on a GPU text encoding and decoding
have a thread and a stream of their own, so nothing but ticks keeps a tick waiting.
"""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from queue import Empty, Queue

import torch

from shared.catalogue import ModelSpec
from shared.errors import AttemptCancelled, CatalogueError
from shared.tuning_file import default_tuning_file
from worker.engine.beside.streams import Beside, beside_ticks
from worker.engine.life import Life
from worker.engine.models.devices import describe, memory_bytes, pick_device, used_bytes
from worker.engine.models.loading import Source
from worker.engine.models.residents import Residents
from worker.engine.pictures.encoding import EncoderPool
from worker.engine.request import ImageRequest, ImageResult, TuningChoice, Watcher
from worker.engine.rows.batcher import Batcher
from worker.engine.rows.caps import Caps
from worker.engine.rows.tuning import Tuning, Tunings
from worker.engine.rows.warmup import warm_up
from worker.engine.work import Work

IDLE_TICK_S = 0.25
"""How often an idle engine shows that it is alive."""


class Engine:
    """Draws images on one device, as many together as pays there."""

    def __init__(
        self,
        specs: Mapping[str, tuple[ModelSpec, Source]],
        device: str = "auto",
        *,
        torch_threads: int | None = None,
        batch_rows: int | None = None,
        tuning: TuningChoice | None = None,
        model_memory_bytes: int | None = None,
    ) -> None:
        """Prepare an engine; nothing is loaded before ``start``.

        Args:
            specs: the models to serve by name, each with the folder of its weights or what builds it;
                the first is loaded at the start, the others when they are first asked for.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            torch_threads: CPU threads of torch; by default torch's own choice.
            batch_rows: how many rows share a forward pass; by default 1 on a CPU, and on a GPU what is
                measured to be best for each model.
            model_memory_bytes: what models on the device may fill; by default most of its memory.
            tuning: how far models are tuned on a GPU, and where that is kept; by default quickly, and
                in the cache of the user.

        Raises:
            ConfigurationError: there is no such device, or no model.
        """
        if not specs:
            msg = "no model to serve: none is enabled and downloaded"
            raise CatalogueError(msg)
        device_ = pick_device(device)
        self.device_name = describe(device_)
        self.capacity = 1
        """How many rows it can hold; known when it has started."""
        self._device = device_
        self._specs = specs
        self._torch_threads = torch_threads
        self._life = Life()
        self._caps = Caps(device_, fixed=batch_rows)
        choice = tuning or TuningChoice()
        if device_.type != "cpu":
            choice = choice._replace(file=choice.file or default_tuning_file())
        self._tunings = Tunings(device_, self._caps, choice)
        self._residents = Residents(specs, device_, self._tunings.adapt, model_memory_bytes)
        self._queue: Queue[Work | None] = Queue()
        self._ready: Future[None] = Future()
        self._encoders = EncoderPool()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def last_tick_at(self) -> float:
        """The instant of its last sign of life, by ``time.monotonic``."""
        return self._life.last_tick_at

    @property
    def rows(self) -> int:
        """How many images share its forward passes at the moment; 0 while there is nothing to draw."""
        return self._life.rows

    @property
    def memory_bytes(self) -> tuple[int, int]:
        """What is taken of the device's memory, and all of it; on a CPU, what this process has taken."""
        return used_bytes(self._device), memory_bytes(self._device)

    @property
    def tunings(self) -> dict[str, Tuning]:
        """How its models run, by name: those that have been on the device; none on a CPU."""
        return dict(self._tunings.known)

    @property
    def loading(self) -> bool:
        """Whether it reads weights now: that may take minutes and shows no sign of life."""
        return self._life.loading

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
        work = Work(request, watcher)
        self._queue.put(work)
        if self._life.closing.is_set():
            self._refuse_queued()
        return work.future

    def close(self) -> None:
        """Stop: the running requests stop at their next step, queued ones are refused."""
        self._life.closing.set()
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._refuse_queued()
        self._encoders.close()

    def _run(self) -> None:
        with torch.inference_mode():
            beside = None
            try:
                beside = beside_ticks(self._device, wake=lambda: self._queue.put(None))
                batcher = self._prepare(beside)
            except BaseException as error:  # noqa: BLE001 - whoever starts the engine gets it
                self._life.closing.set()
                self._ready.set_exception(error)
                return
            self._ready.set_result(None)
            while not self._life.closing.is_set():
                self._take(batcher)
                batcher.turn()
            batcher.end(AttemptCancelled("the engine is closing"))
            beside.close()

    def _prepare(self, beside: Beside) -> Batcher:
        # OpenMP keeps the number of threads for each calling thread, so it is set on this one.
        torch.set_num_threads(self._torch_threads or torch.get_num_threads())
        first = next(iter(self._specs))
        batcher = Batcher(self._residents, self._caps, beside, self._encoders, self._life, self._submitted)
        model = self._residents.get(first)
        warm_up(model, self._residents.adapter(first))
        self.capacity = batcher.measure(first)
        self._tunings.hurried = True
        self._life.tick()
        return batcher

    def _take(self, batcher: Batcher) -> None:
        """Hand queued requests to the batcher; wait a moment for one where there is nothing else to do."""
        wait = batcher.is_waiting
        while True:
            try:
                work = self._queue.get(block=wait, timeout=IDLE_TICK_S)
            except Empty:
                batcher.use_idle_moment()
                return
            if work is not None:
                batcher.add(work)
            wait = False

    def _submitted(self) -> Iterator[Work]:
        """Take what is queued now."""
        while True:
            try:
                work = self._queue.get_nowait()
            except Empty:
                return
            if work is not None:
                yield work

    def _refuse_queued(self) -> None:
        for work in self._submitted():
            if work.future.set_running_or_notify_cancel():
                work.future.set_exception(AttemptCancelled("the engine is closing"))
