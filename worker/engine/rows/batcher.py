"""Draws requests together: begins them, ticks their rows in turns, decodes and hands on what is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from shared.errors import (
    AttemptCancelled,
    CatalogueError,
    DarkroomError,
    DeviceBroken,
    GenerationFailed,
    OutOfDeviceMemory,
)
from worker.engine.arguments import call_arguments, check, fit
from worker.engine.devices import release_memory
from worker.engine.encoding import EncoderPool
from worker.engine.exclusive import draw_whole
from worker.engine.failures import translate
from worker.engine.findings import find
from worker.engine.life import Life
from worker.engine.loading import LoadedModel
from worker.engine.residents import Residents
from worker.engine.rows.admission import Admission
from worker.engine.rows.beside import Beside
from worker.engine.rows.buckets import Buckets, Key
from worker.engine.rows.caps import Caps
from worker.engine.rows.decoding import decode
from worker.engine.rows.job import Job, Member
from worker.engine.rows.showing import show
from worker.engine.timed import timed
from worker.engine.warmup import first_request
from worker.engine.work import Work

HELD_PASSES = 2
"""Rows that are held, as a multiple of those of one forward pass."""


class Batcher:
    """Every request that was submitted and has not ended. Only the engine's thread calls it."""

    def __init__(
        self, residents: Residents, caps: Caps, beside: Beside, encoders: EncoderPool, life: Life
    ) -> None:
        self._residents = residents
        self._caps = caps
        self._beside = beside
        self._encoders = encoders
        self._life = life
        self._admission = Admission(self._can_join)
        self._buckets = Buckets()
        self._jobs: list[Job] = []
        self._broken: DeviceBroken | None = None

    def measure(self, name: str) -> int:
        """Return how many rows may be held at once, by what a model's forward pass takes at its native size.

        They are more than one pass takes, unless that is one: so a row that leaves is replaced at once.
        """
        spec = self._resident(name).spec
        if self._residents.family(name) is not None:
            cap = self._caps.of(Key(name, spec.sizes.native_width, spec.sizes.native_height, 0))
            self._admission.room_rows = cap if cap == 1 else HELD_PASSES * cap
        return self._admission.room_rows

    def add(self, work: Work) -> None:
        """Take a submitted request."""
        self._admission.add(work)

    @property
    def is_waiting(self) -> bool:
        """Whether a turn would do nothing, until a request is added or what runs beside is done."""
        return len(self._buckets) == 0 and (len(self._jobs) > 0 or len(self._admission) == 0)

    def turn(self) -> None:
        """Begin what may begin, tick once, and end what is done."""
        self._life.tick()
        self._begin_waiting()
        self._join_prepared()
        self._stop_told()
        self._tick()
        self._hand_on_decoded()
        if self._broken is not None:
            self.end(self._broken)

    def end(self, error: DarkroomError) -> None:
        """End every request with an error."""
        for work in self._admission.take_all():
            if work.future.set_running_or_notify_cancel():
                work.future.set_exception(error)
        for job in list(self._jobs):
            self._drop(job, error)

    # --- beginning

    def _can_join(self, work: Work) -> bool:
        name = work.request.model
        return name in self._residents.names() and self._residents.family(name) is not None

    def _begin_waiting(self) -> None:
        while (work := self._admission.next(sum(job.images for job in self._jobs))) is not None:
            if not work.future.set_running_or_notify_cancel():
                continue
            try:
                self._begin(work)
            except BaseException as error:  # noqa: BLE001 - one request's failure must not end the engine
                work.future.set_exception(self._failure(error, work.request.model))

    def _begin(self, work: Work) -> None:
        asked_at = perf_counter()
        model = self._resident(work.request.model)
        loaded_at = perf_counter()
        work.tell_stage("queue", work.submitted_at, asked_at)
        work.tell_stage("load", asked_at, loaded_at)
        load_s = loaded_at - asked_at
        family = self._residents.family(work.request.model)
        if family is None:
            draw_whole(model, work, self._encoders, self._life, load_s)
            return
        check(model, work.request)
        if work.watcher.stop_requested():
            raise AttemptCancelled
        prompt = fit(model, work.request)
        job = Job(work, model, family, load_s, find(model, work.request, prompt))
        job.tell()
        arguments = call_arguments(model, work.request, prompt)
        job.rows = self._beside.run(
            lambda: timed(lambda: [family.prepare(arguments, seed) for seed in work.request.seeds])
        )
        self._jobs.append(job)

    def _resident(self, name: str) -> LoadedModel:
        with self._life.while_loading():
            try:
                model = self._residents.get(name)
            except CatalogueError as error:
                msg = f"model {name!r} could not be loaded"
                raise GenerationFailed(msg) from error
            family = self._residents.family(name)
            if family is not None:
                self._caps.measure(family, lambda: call_arguments(model, first_request(model.spec)))
            return model

    def _join_prepared(self) -> None:
        for job in list(self._jobs):
            if job.members or not job.rows.done():
                continue
            with self._failing_alone(job):
                for member in job.take_rows():
                    self._beside.share(member.row.tensors())
                    self._buckets.add(member)

    # --- ticking

    def _tick(self) -> None:
        batch = self._buckets.next(self._caps.of)
        self._life.rows = len(batch[1]) if batch is not None else 0
        if batch is None:
            return
        started_at = perf_counter()
        advanced = self._run(*batch)
        self._beside.pace()
        seconds = perf_counter() - started_at
        for job in dict.fromkeys(member.job for member in advanced):
            self._life.tick()
            with self._failing_alone(job):
                job.tell(seconds)
        for member in advanced:
            if member.row.is_done and not member.job.has_ended:
                self._decode(member)
        for member in advanced:
            show(member, self._beside, self._encoders)

    def _run(self, key: Key, members: list[Member]) -> list[Member]:
        """Take a batch one tick further; those that got there."""
        family = members[0].job.family
        try:
            predictions = family.predict([member.row for member in members])
        except Exception as error:  # noqa: BLE001 - what it was decides who fails
            return self._run_smaller(key, members, error)
        for member, prediction in zip(members, predictions, strict=True):
            if not member.job.has_ended:
                with self._failing_alone(member.job):
                    member.previews.look(member.row, prediction)
                    family.advance(member.row, prediction)
        return [member for member in members if not member.job.has_ended]

    def _run_smaller(self, key: Key, members: list[Member], error: Exception) -> list[Member]:
        """Do what can be done after a batch raised: a smaller one, or fail the row whose fault it is."""
        failure = translate(error, key.model)
        if len(members) == 1 or isinstance(failure, DeviceBroken):
            self._drop(members[0].job, self._failure(error, key.model))
            return []
        if isinstance(failure, OutOfDeviceMemory):
            # No row has moved, so the next tick simply runs them again, fewer at a time.
            self._caps.halve(key, len(members))
            members[0].job.family.texts.clear()
            release_memory(members[0].row.latents.device)
            return []
        return [done for member in members if not member.job.has_ended for done in self._run(key, [member])]

    def _decode(self, member: Member) -> None:
        self._buckets.remove(member)
        family, row, transparent = member.job.family, member.row, member.job.work.request.transparent
        member.pixels = self._beside.run(lambda: timed(lambda: decode(family, row, transparent=transparent)))

    # --- ending

    def _stop_told(self) -> None:
        for job in list(self._jobs):
            with self._failing_alone(job):
                if job.work.watcher.stop_requested():
                    raise AttemptCancelled

    def _hand_on_decoded(self) -> None:
        for job in list(self._jobs):
            with self._failing_alone(job):
                if job.hand_on(self._encoders):
                    job.has_ended = True
                    self._jobs.remove(job)

    @contextmanager
    def _failing_alone(self, job: Job) -> Iterator[None]:
        """End the job, and no other, with whatever is raised meanwhile."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - one request's failure must not end the engine
            self._drop(job, self._failure(error, job.work.request.model))

    def _drop(self, job: Job, error: DarkroomError) -> None:
        job.has_ended = True
        self._jobs.remove(job)
        for member in job.members:
            self._buckets.remove(member)
        job.tell_denoised()
        job.work.future.set_exception(error)

    def _failure(self, error: BaseException, model: str) -> DarkroomError:
        failure = translate(error, model)
        if failure is not error:
            failure.__cause__ = error
        if isinstance(failure, DeviceBroken):
            self._broken = failure
        else:
            release_memory(self._residents.device)
        return failure
