"""The thread that works on batches, in a loop of its own: what it asks for, it asks as the API does."""

import asyncio
import threading
from contextlib import suppress
from typing import Final

from typing_extensions import override

from api.cancelling import cancel_all
from api.edits.request import EditRequest
from api.generations.request import GenerationRequest
from api.resources import Resources, build
from api.store.batches import BatchStatus, BatchStore, Done, Turn
from courier.batches.asking import Asking
from courier.batches.callers import Callers
from courier.batches.checking import Checking, Papers
from courier.batches.drawing import Drawing
from courier.batches.ending import Ending
from courier.batches.results import Results
from courier.batches.turns import Turns
from shared.errors import BatchNotFound, ConfigurationError, DarkroomError, LeaseLost, StoreUnavailable
from shared.logs import get_logger
from shared.settings import Settings

log = get_logger(__name__)

_AGAIN_S: Final = 2.0
_AFTER_A_BUG_S: Final = 30.0
_MOST_BUGS: Final = 10
_STOP_S: Final = 5.0


class Clerk(threading.Thread):
    """Works on batches until told to stop.

    Args:
        settings: all of them.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="batches", daemon=True)
        self._settings = settings
        self._stopped = threading.Event()

    @override
    def run(self) -> None:
        """Work until stopped; nothing where there is no place for files."""
        if self._settings.results.urls:
            asyncio.run(self._run())

    def stop(self) -> None:
        """Stop; what is not done is the next one's."""
        self._stopped.set()
        if self.is_alive():
            self.join(timeout=_STOP_S)

    async def _run(self) -> None:
        try:
            resources = build(self._settings)
        except ConfigurationError as error:
            # Whoever is told how jobs ended is told all the same.
            log.error("batches.impossible", reason=error.message)  # noqa: TRY400 - what is wrong is said
            return
        turns = _turns(resources)
        if turns is None:
            await resources.close()
            return
        resources.reception.start()
        workers = [asyncio.create_task(self._work(turns)) for _ in range(self._settings.batches.concurrency)]
        try:
            await asyncio.to_thread(self._stopped.wait)
        finally:
            await cancel_all(workers)
            await resources.close()

    async def _work(self, turns: Turns) -> None:
        while True:
            try:
                turn = await turns.store.take()
            except StoreUnavailable:
                turn = None
            if turn is None:
                await asyncio.sleep(self._settings.batches.look_s)
            else:
                await self._take(turns, turn)

    async def _take(self, turns: Turns, turn: Turn) -> None:
        """Take a turn, and say all the while that it is taken."""
        work = asyncio.create_task(turns.go(turn))
        renewing = asyncio.create_task(self._renew(turns.store, turn, work))
        try:
            await work
        except asyncio.CancelledError:
            if _is_told_to_stop():
                await _give_back(turns.store, turn, 0)
                raise
            log.info("batch.left", batch_id=turn.record.id)
        except (LeaseLost, BatchNotFound):
            log.info("batch.left", batch_id=turn.record.id)
        except DarkroomError as error:
            log.warning("batch.delayed", batch_id=turn.record.id, code=error.code)
            await _give_back(turns.store, turn, _AGAIN_S)
        except Exception as error:
            log.exception("batch.broken", batch_id=turn.record.id, error=type(error).__name__)
            await _after_a_bug(turns.store, turn)
        finally:
            await cancel_all([renewing, work])

    async def _renew(self, store: BatchStore, turn: Turn, work: "asyncio.Task[None]") -> None:
        lease_s = self._settings.batches.lease_s
        failures = 0
        while not work.done():
            await asyncio.sleep(lease_s / 5)
            try:
                await store.write(turn, Done())
                failures = 0
            except (LeaseLost, BatchNotFound):
                work.cancel()
                return
            except StoreUnavailable:
                failures += 1
                if failures == 4:  # noqa: PLR2004 - by then the lease has lapsed
                    work.cancel()
                    return


def _is_told_to_stop() -> bool:
    """Whether it is this task that was cancelled, and not the one that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _turns(resources: Resources) -> Turns | None:
    """Return what works on batches; None where there is no place for them."""
    shelf, settings = resources.shelf, resources.settings
    if shelf is None:
        return None
    store, jobs = resources.desk.store, resources.jobs
    papers = Papers(shelf.objects, shelf.store, settings.api)
    max_n = settings.api.max_n
    bodies = GenerationRequest.with_max_n(max_n), EditRequest.with_max_n(max_n)
    asking = Asking(resources.answering, resources.intake, *bodies)
    results = Results(jobs, shelf.objects, resources.links, settings.api.detailed_responses)
    return Turns(
        store,
        Checking(store, papers, settings.batches),
        Drawing(store, jobs, papers, Callers(resources.keyring), asking, settings.batches),
        Ending(store, jobs, shelf.store, shelf.objects, papers, results, settings.batches),
    )


async def _give_back(store: BatchStore, turn: Turn, in_s: float) -> None:
    """Say that a turn is over, and when the next one is due; where that fails, its lease lapses."""
    with suppress(DarkroomError):
        await store.write(turn, Done(next_s=in_s, released=True))


async def _after_a_bug(store: BatchStore, turn: Turn) -> None:
    """Try again later; a batch that breaks every turn has failed at some time."""
    bugs = turn.record.number("bugs") + 1
    fields, next_s = {"bugs": str(bugs)}, _AFTER_A_BUG_S
    with suppress(DarkroomError):
        if bugs < _MOST_BUGS:
            await store.write(turn, Done(fields, next_s=next_s, released=True))
            return
        fields |= {"status": BatchStatus.FAILED.value, "failed_at": str(await store.now_ms())}
        await store.write(turn, Done(fields, released=True))
