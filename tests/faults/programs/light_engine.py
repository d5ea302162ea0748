"""An engine without torch: it takes the steps, draws a small real PNG and misbehaves by words of the prompt.

Everything around it is the real worker. It has the names and the manners of ``worker.engine``. What it draws
of pictures says which it was given, and is outside of a mask what they were.

``slow:MS`` takes so long for each step (default 20) · ``poison:kill`` ends its own process · ``poison:raise``
raises · ``poison:hang`` never takes another step · ``poison:hang-once`` neither, at a job's first attempt ·
``poison:oom-always`` finds no device memory · ``poison:oom-once`` finds none the first time that this process
tries it.
"""

import hashlib
import io
import json
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

from PIL import Image, PngImagePlugin

from shared.catalogue import ModelSpec
from shared.errors import AttemptCancelled, DarkroomError, GenerationFailed, OutOfDeviceMemory
from tests.faults.harness.sent import digest
from worker.engine.request import ImageRequest, ImageResult
from worker.ledger import Held

STEP_MS = 20
IDLE_S = 0.05
MISBEHAVES_AT_STEP = 2


class Events:
    """The log that the checker reads: one JSON line for each start and end of an attempt."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event: str, held: Held, **more: str) -> None:
        attempt = held.attempt
        line = {"event": event, "job": attempt.job_id, "token": attempt.token, "attempt": attempt.number}
        # The monotonic clock of Linux is one for all processes, whatever their wall clocks say.
        line |= {"pid": os.getpid(), "at": time.monotonic(), **more}
        os.write(self._file, json.dumps(line).encode() + b"\n")


@dataclass
class Row:
    """One picture in the making."""

    request: ImageRequest
    held: Held
    future: Future[ImageResult] = field(default_factory=Future)
    step: int = 0

    @property
    def step_s(self) -> float:
        found = re.search(r"slow:(\d+)", self.request.wording.words)
        return int(found.group(1) if found else STEP_MS) / 1000

    def asks_for(self, poison: str) -> bool:
        return f"poison:{poison}" in self.request.wording.words


class LightEngine:
    """Draws up to ``capacity`` rows together, a step at a time; low ones while there are no others."""

    def __init__(
        self,
        specs: Mapping[str, tuple[ModelSpec, Path]],
        device: str = "auto",
        *,
        torch_threads: int | None = None,
        model_memory_bytes: int | None = None,
        tuning: object = None,
    ) -> None:
        del device, torch_threads, model_memory_bytes, tuning
        self.capacity = int(os.environ.get("FAULTS_CAPACITY", "1"))
        self.device_name = "light"
        self.loading = False
        self.rows = 0
        self.memory_bytes = (0, 1)
        self.tunings: dict[str, object] = {}
        self.last_tick_at = time.monotonic()
        self._models = tuple(specs)
        self._events = Events(Path(os.environ["FAULTS_EVENTS"]))
        self._queue: Queue[Row] = Queue()
        self._low: Queue[Row] = Queue()
        self._closing = threading.Event()
        self._tried: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, request: ImageRequest, watcher: Held) -> Future[ImageResult]:
        row = Row(request, watcher)
        (self._low if request.low else self._queue).put(row)
        return row.future

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        rows: list[Row] = []
        low: list[Row] = []
        while not self._closing.is_set():
            self.last_tick_at = time.monotonic()
            low += self._new_rows(self._low, self.capacity - len(low), patient=False)
            rows += self._new_rows(self._queue, self.capacity - len(rows), patient=not rows and not low)
            self.rows = len(rows or low)
            if rows:
                rows = self._step(rows)
                low = [row for row in low if not self._stops(row)]
            elif low:
                low = self._step(low)
        for row in (*rows, *low):
            self._fail(row, AttemptCancelled())

    def _step(self, rows: list[Row]) -> list[Row]:
        """Take one step of each; those that have not ended."""
        self._closing.wait(max(row.step_s for row in rows))
        return [row for row in rows if self._goes_on(row)]

    def _new_rows(self, queue: Queue[Row], room: int, *, patient: bool) -> list[Row]:
        rows: list[Row] = []
        while len(rows) < room:
            try:
                row = queue.get(timeout=IDLE_S) if patient and not rows else queue.get_nowait()
            except Empty:
                break
            self._events.write("start", row.held, prompt=row.request.wording.words)
            rows.append(row)
        return rows

    def _goes_on(self, row: Row) -> bool:
        """Take one step of a row; False where it has ended."""
        if self._stops(row):
            return False
        row.step += 1
        row.held.on_step(row.step, row.request.steps)
        if row.step == MISBEHAVES_AT_STEP and (error := self._misbehave(row)) is not None:
            self._fail(row, error)
            return False
        if row.step < row.request.steps:
            return True
        self._finish(row)
        return False

    def _stops(self, row: Row) -> bool:
        if row.held.stop_requested():
            self._fail(row, AttemptCancelled())
            return True
        return False

    def _misbehave(self, row: Row) -> DarkroomError | None:
        if row.asks_for("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if row.asks_for("hang-once") and row.held.attempt.losses:
            return None
        if row.asks_for("hang"):
            threading.Event().wait()
        if row.asks_for("raise"):
            return GenerationFailed("the light engine raised")
        if row.asks_for("oom-always") or (row.asks_for("oom-once") and self._first_try(row)):
            return OutOfDeviceMemory()
        return None

    def _first_try(self, row: Row) -> bool:
        first = row.request.wording.words not in self._tried
        self._tried.add(row.request.wording.words)
        return first

    def _fail(self, row: Row, error: DarkroomError) -> None:
        self._events.write("abort", row.held, reason=type(error).__name__)
        row.future.set_exception(error)

    def _finish(self, row: Row) -> None:
        images = tuple(_png(row, seed) for seed in row.request.seeds)
        digest = hashlib.sha256(b"".join(images)).hexdigest()
        self._events.write("end", row.held, sha256=digest)
        row.future.set_result(ImageResult(images, len(row.request.wording.words.split()), {"denoise": 0.0}))


def _png(row: Row, seed: int) -> bytes:
    """A picture that says whose it is."""
    words = PngImagePlugin.PngInfo()
    words.add_text("job", row.held.attempt.job_id)
    words.add_text("token", row.held.attempt.token)
    colour = tuple(hashlib.sha256(str(seed).encode()).digest()[:3])
    picture = Image.new("RGB", (row.request.width, row.request.height), colour)
    if (edit := row.request.edit) is not None:
        words.add_text("inputs", digest(edit.images, edit.mask))
        if edit.mask is not None:
            picture = Image.composite(picture, edit.images[0], edit.mask)
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=words)
    return file.getvalue()
