"""Draws requests together: begins them, ticks their rows in turns, decodes and hands on what is done."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from time import perf_counter

import structlog

from shared.errors import (
    AttemptCancelled,
    CatalogueError,
    DarkroomError,
    DeviceBroken,
    GenerationFailed,
    MadeWay,
    OutOfDeviceMemory,
)
from worker.engine.beside.groups import Kind, alone
from worker.engine.beside.streams import TICKS_AHEAD, Beside
from worker.engine.beside.texts import Entries
from worker.engine.failures import translate
from worker.engine.life import Life
from worker.engine.models.arguments import Call, call_arguments, check, fit
from worker.engine.models.devices import release_memory
from worker.engine.models.findings import find
from worker.engine.models.loading import LoadedModel
from worker.engine.models.residents import Residents
from worker.engine.pictures.canvas import Canvas
from worker.engine.pictures.encoding import EncoderPool
from worker.engine.rows.admission import Admission
from worker.engine.rows.buckets import Key, Rows
from worker.engine.rows.caps import Caps
from worker.engine.rows.decoding import Undecoded, decode
from worker.engine.rows.drawing import Drawing, Member
from worker.engine.rows.encoding import encode
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.showing import show
from worker.engine.timed import Timed, timed
from worker.engine.whole.alone import draw_whole
from worker.engine.work import Work

OFTEN = 3
"""Runs of one shape after which it is worth a recording."""
HELD_PASSES = 3
"""Rows that are held, as a multiple of those of one forward pass, where text and decoding overlap the ticks:
as many again are prepared, and as many again decoded."""
REPLACED_PASSES = 2
"""The same where they do not and a pass takes several: so a row that leaves is replaced at once."""


log = structlog.get_logger(__name__)


class Batcher:
    """Every request that was submitted and has not ended. Only the engine's thread calls it.

    Drawings of low priority are drawn while there is nothing else to do: once another request has begun they
    take no step until all of its are done. So what comes waits for the pass that runs, at most.
    """

    def __init__(
        self,
        residents: Residents[RowFamily | None],
        caps: Caps,
        beside: Beside,
        encoders: EncoderPool,
        life: Life,
        submitted: Callable[[], Iterable[Work]] = tuple,
    ) -> None:
        """Begin with none.

        Args:
            residents: the models.
            caps: how many rows a pass takes.
            beside: where what is no tick runs.
            encoders: make files of pictures.
            life: is told of each sign of life.
            submitted: returns what was submitted and not added yet; it is asked while a turn takes long.
        """
        self._residents = residents
        self._caps = caps
        self._beside = beside
        self._encoders = encoders
        self._life = life
        self._submitted = submitted
        self._admission = Admission(self._can_join)
        self._rows = Rows()
        self._drawings: list[Drawing] = []
        self._broken: DeviceBroken | None = None

    def measure(self, name: str) -> int:
        """Return how many rows may be held at once, by what a pass takes at the model's native size."""
        spec = self._resident(name).spec
        if self._residents.adapter(name) is not None:
            cap = self._caps.of(Key(name, spec.sizes.native_width, spec.sizes.native_height, 0))
            several = 1 if cap == 1 else REPLACED_PASSES
            self._admission.room_rows = cap * (HELD_PASSES if self._beside.overlaps else several)
        return self._admission.room_rows

    def add(self, work: Work) -> None:
        """Take a submitted request."""
        self._admission.add(work)

    @property
    def is_waiting(self) -> bool:
        """Whether a turn would do nothing, until a request is added or what runs beside is done."""
        ready = self._rows.ready(low=self._is_low_turn)
        return ready == 0 and (len(self._drawings) > 0 or len(self._admission) == 0)

    def turn(self) -> None:
        """Begin what may begin, tick once, and end what is done."""
        self._life.tick()
        self._begin_waiting()
        self._encode_pictures()
        self._join_prepared()
        self._stop_told()
        self._tick()
        self._hand_on_decoded()
        if self._broken is not None:
            self.end(self._broken)

    def use_idle_moment(self) -> None:
        """Record one run that has been asked for often without a recording; nothing is being drawn."""
        if self._drawings or len(self._admission):
            return
        families = (self._residents.adapter(name) for name in self._residents.names())
        for graphs in (graphs for family in families if family is not None for graphs in family.graphs):
            wanted = graphs.wanted(OFTEN)
            if wanted is None:
                continue
            try:
                graphs.record(*wanted)
            except Exception as error:  # noqa: BLE001 - then it runs as it did, and is not tried again
                log.warning("graph.not_recorded", error=type(error).__name__)
                self._release()
            return

    def end(self, error: DarkroomError) -> None:
        """End every request with an error."""
        for work in self._admission.take_all():
            if work.future.set_running_or_notify_cancel():
                work.future.set_exception(error)
        for drawing in list(self._drawings):
            self._drop(drawing, error)

    # --- beginning

    def _can_join(self, work: Work) -> bool:
        name = work.request.model
        return name in self._residents.names() and self._residents.adapter(name) is not None

    def _begin_waiting(self) -> None:
        while (work := self._next()) is not None:
            if not work.future.set_running_or_notify_cancel():
                continue
            try:
                self._begin(work)
            except BaseException as error:  # noqa: BLE001 - one request's failure must not end the engine
                work.future.set_exception(self._failure(error, work.request.model))

    def _next(self) -> Work | None:
        if self._images(low=True) and self._admission.is_kept_waiting(self._images(low=False)):
            self._make_way()
        return self._admission.next(self._images(low=False), self._images(low=True))

    def _images(self, *, low: bool) -> int:
        return sum(drawing.images for drawing in self._drawings if drawing.low == low)

    def _make_way(self) -> bool:
        """Give up the low drawings but those that need only be decoded; whether there are any."""
        drawings = [each for each in self._drawings if each.low and not each.is_denoised]
        for drawing in drawings:
            self._drop(drawing, MadeWay())
        return len(drawings) > 0

    def _look_for_others(self, work: Work) -> None:
        """End a low request that has the device for itself where another has come."""
        if work.request.low:
            for each in self._submitted():
                self.add(each)
            if self._admission.has_others:
                raise MadeWay

    def _begin(self, work: Work) -> None:
        asked_at = perf_counter()
        model = self._resident(work.request.model)
        loaded_at = perf_counter()
        work.tell_stage("queue", work.submitted_at, asked_at)
        work.tell_stage("load", asked_at, loaded_at)
        load_s = loaded_at - asked_at
        family = self._residents.adapter(work.request.model)
        if family is None:
            look = partial(self._look_for_others, work)
            draw_whole(model, work, self._encoders, self._life, load_s, look)
            return
        check(model, work.request)
        if work.watcher.stop_requested():
            raise AttemptCancelled
        drawing = self._prepared(work, model, family, load_s)
        drawing.tell()
        self._drawings.append(drawing)

    def _prepared(self, work: Work, model: LoadedModel, family: RowFamily, load_s: float) -> Drawing:
        """Return a request's drawing, whose rows are being prepared."""
        request, ahead = work.request, self._beside.ahead
        prompt, edit = fit(model, request), request.edit
        call = family.call(call_arguments(model, request, prompt))
        canvas = Canvas.of(request, model.spec.sizes)
        return Drawing(
            work,
            model,
            family,
            load_s,
            find(model, request, prompt),
            call,
            self._text(family, call, low=request.low),
            [ahead(partial(family.draw, call, seed, edit)) for seed in request.seeds],
            canvas,
            None if edit is None else ahead(partial(family.pictures, edit, canvas)),
        )

    def _text(self, family: RowFamily, call: Call, *, low: bool) -> Future[Timed[Entries]]:
        """Return the encoded text, at once where it is known, else together with others that wait."""
        known = family.texts.find(family.text_key(call))
        if known is not None:
            found: Future[Timed[Entries]] = Future()
            found.set_result(timed(lambda: known))
            return found
        group = "text", family.model.spec.name, family.text_group(call)
        kind = Kind(group, family.encode_all, family.texts_together, self._release, low)
        return self._beside.add(kind, call)

    def _resident(self, name: str) -> LoadedModel:
        with self._life.while_loading():
            try:
                model = self._residents.get(name)
            except CatalogueError as error:
                msg = f"model {name!r} could not be loaded"
                raise GenerationFailed(msg) from error
            return model

    def _encode_pictures(self) -> None:
        for drawing in [each for each in self._drawings if each.is_to_encode]:
            with self._failing_alone(drawing):
                if drawing.pictures is not None:
                    work = partial(encode, drawing.family, drawing.pictures.result())
                    drawing.encoded = self._beside.add(alone(work, low=drawing.low), None)

    def _join_prepared(self) -> None:
        for drawing in list(self._drawings):
            if drawing.members or not drawing.is_prepared:
                continue
            with self._failing_alone(drawing):
                members = drawing.begin_rows()
                self._beside.share(drawing.tensors())
                for member in members:
                    self._rows.add(member)

    # --- ticking

    @property
    def _is_low_turn(self) -> bool:
        """Whether nothing that is not low is being prepared or has steps left."""
        return all(drawing.low or drawing.is_denoised for drawing in self._drawings)

    def _tick(self) -> None:
        batch = self._rows.next(self._caps.of, low=self._is_low_turn)
        self._life.rows = len(batch[1]) if batch is not None else 0
        if batch is None:
            return
        started_at = perf_counter()
        low = batch[1][0].drawing.low
        advanced = self._run(*batch)
        # What comes is to wait for one pass at most.
        self._beside.pace(0 if low else TICKS_AHEAD)
        seconds = perf_counter() - started_at
        for drawing in dict.fromkeys(member.drawing for member in advanced):
            self._life.tick()
            with self._failing_alone(drawing):
                drawing.tell(seconds)
        for member in advanced:
            if member.row.is_done and not member.drawing.has_ended:
                self._decode(member)
        for member in advanced:
            show(member, self._beside, self._encoders)

    def _run(self, key: Key, members: list[Member]) -> list[Member]:
        """Take a batch one tick further; those that got there."""
        family = members[0].drawing.family
        try:
            predictions = family.predict([member.row for member in members])
        except Exception as error:  # noqa: BLE001 - what it was decides who fails
            return self._run_smaller(key, members, error)
        for member, prediction in zip(members, predictions, strict=True):
            if not member.drawing.has_ended:
                with self._failing_alone(member.drawing):
                    member.previews.look(member.row, prediction)
                    family.advance(member.row, prediction)
        return [member for member in members if not member.drawing.has_ended]

    def _run_smaller(self, key: Key, members: list[Member], error: Exception) -> list[Member]:
        """Do what can be done after a batch raised: a smaller one, or fail the row whose fault it is."""
        failure = translate(error, key.model)
        if isinstance(failure, OutOfDeviceMemory) and not members[0].drawing.low and self._make_way():
            # What they held may be what is missing.
            self._release()
            return []
        if len(members) == 1 or isinstance(failure, DeviceBroken):
            self._drop(members[0].drawing, self._failure(error, key.model))
            return []
        if isinstance(failure, OutOfDeviceMemory):
            # No row has moved, so the next tick simply runs them again, fewer at a time.
            self._caps.halve(key, len(members))
            members[0].drawing.family.texts.clear()
            release_memory(members[0].row.latents.device)
            return []
        return [
            done for member in members if not member.drawing.has_ended for done in self._run(key, [member])
        ]

    def _decode(self, member: Member) -> None:
        self._rows.remove(member)
        family, row = member.drawing.family, member.row
        group = "decode", family.model.spec.name, row.width, row.height
        kind = Kind(
            group, partial(decode, family), family.decodings_together, self._release, member.drawing.low
        )
        work = member.drawing.work
        image = Undecoded(row, row.latents, work.request.transparent, work.tell_no_numbers)
        member.pixels = self._beside.add(kind, image)

    def _release(self) -> None:
        release_memory(self._residents.device)

    # --- ending

    def _stop_told(self) -> None:
        for drawing in list(self._drawings):
            with self._failing_alone(drawing):
                if drawing.work.watcher.stop_requested():
                    raise AttemptCancelled

    def _hand_on_decoded(self) -> None:
        for drawing in list(self._drawings):
            with self._failing_alone(drawing):
                if drawing.hand_on(self._encoders):
                    drawing.has_ended = True
                    self._drawings.remove(drawing)

    @contextmanager
    def _failing_alone(self, drawing: Drawing) -> Iterator[None]:
        """End the drawing, and no other, with whatever is raised meanwhile."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - one request's failure must not end the engine
            self._drop(drawing, self._failure(error, drawing.work.request.model))

    def _drop(self, drawing: Drawing, error: DarkroomError) -> None:
        drawing.has_ended = True
        self._drawings.remove(drawing)
        for member in drawing.members:
            self._rows.remove(member)
        drawing.tell_denoised()
        drawing.work.future.set_exception(error)

    def _failure(self, error: BaseException, model: str) -> DarkroomError:
        failure = translate(error, model)
        if failure is not error:
            failure.__cause__ = error
        if isinstance(failure, DeviceBroken):
            self._broken = failure
        else:
            release_memory(self._residents.device)
        return failure
