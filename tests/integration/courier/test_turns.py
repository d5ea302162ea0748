"""A turn at a batch is one courier's: what a slower one writes afterwards changes nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.store.batches import BatchStore, Done, Turn
from api.store.client import StoreClient
from courier.batches.clerk import Clerk
from shared.errors import BatchNotFound, LeaseLost
from shared.redis_clients import async_client
from tests.integration.api.test_batches import begin, uploaded
from tests.integration.conftest import Serve, Service

LEASE_S = 0.2


@pytest.fixture
def filing(serve: Serve, tmp_path: Path) -> Service:
    return serve(results={"urls": str(tmp_path / "objects")}, batches={"lease_s": LEASE_S})


@pytest.fixture
async def store(filing: Service) -> AsyncIterator[BatchStore]:
    settings = filing.api.settings
    client = async_client(settings.redis)
    yield BatchStore(StoreClient(client, settings.redis.prefix), settings.batches)
    await client.aclose()


async def taken(store: BatchStore) -> Turn:
    while (turn := await store.take()) is None:
        pass
    return turn


async def test_a_batch_is_taken_by_one_at_a_time(filing: Service, store: BatchStore) -> None:
    batch_id = begin(filing.caller, uploaded(filing)).json()["id"]

    first = await store.take()

    assert first is not None
    assert first.record.id == batch_id
    assert await store.take() is None


async def test_who_was_too_slow_writes_nothing(filing: Service, store: BatchStore) -> None:
    begin(filing.caller, uploaded(filing))
    slow = await taken(store)
    quick = await taken(store)

    with pytest.raises(LeaseLost):
        await store.write(slow, Done({"status": "completed"}, next_s=None, released=True))
    with pytest.raises(LeaseLost):
        await store.write(slow, Done(pending={1: "0 10"}))

    record = await store.read(quick.record.id, quick.record.owner)
    assert record.status == "validating"
    assert await store.pending(quick.record.id) == {}
    await store.write(quick, Done(pending={1: "0 10"}))
    assert await store.pending(quick.record.id) == {1: (0, 10)}


async def test_a_turn_that_says_so_keeps_its_batch(filing: Service, store: BatchStore) -> None:
    begin(filing.caller, uploaded(filing))
    turn = await taken(store)
    first_s = filing.worker.client.zscore(filing.key("batches"), turn.record.id)

    await store.write(turn, Done())

    assert filing.worker.client.zscore(filing.key("batches"), turn.record.id) > first_s


async def test_what_is_cancelled_meanwhile_is_written_to_no_more(filing: Service, store: BatchStore) -> None:
    batch_id = begin(filing.caller, uploaded(filing)).json()["id"]
    turn = await taken(store)
    filing.caller.http.post(f"/v1/batches/{batch_id}/cancel")

    with pytest.raises(LeaseLost):
        await store.write(turn, Done({"status": "in_progress"}, next_s=0, released=True))

    assert (await store.read(batch_id, turn.record.owner)).status == "cancelling"


async def test_a_line_counts_once_however_often_it_is_said_to_have_ended(
    filing: Service, store: BatchStore
) -> None:
    begin(filing.caller, uploaded(filing))
    turn = await taken(store)
    await store.write(turn, Done(pending={1: "0 10", 2: "10 10"}))

    for _ in range(3):
        await store.write(turn, Done(settled={1: "completed", 2: "failed"}))

    record = await store.read(turn.record.id, turn.record.owner)
    assert (record.number("completed"), record.number("failed")) == (1, 1)


async def test_an_ended_batch_is_taken_no_more_and_its_file_is_free(
    filing: Service, store: BatchStore
) -> None:
    file_id = uploaded(filing)
    begin(filing.caller, file_id)
    turn = await taken(store)
    await store.write(turn, Done({"status": "failed"}, next_s=None, released=True))

    assert await store.take() is None
    assert filing.caller.http.delete(f"/v1/files/{file_id}").status_code == 200
    assert filing.worker.client.ttl(filing.key("batch", turn.record.id)) > 0
    with pytest.raises(LeaseLost):
        await store.write(turn, Done({"status": "in_progress"}))


async def test_a_batch_that_is_gone_is_said_to_be(filing: Service, store: BatchStore) -> None:
    begin(filing.caller, uploaded(filing))
    turn = await taken(store)
    filing.worker.client.delete(filing.key("batch", turn.record.id))

    with pytest.raises(BatchNotFound):
        await store.write(turn, Done())


def test_a_courier_that_cannot_draw_says_why_and_goes_on_with_the_rest(
    filing: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = filing.api.settings
    models = settings.models.model_copy(update={"catalogue": tmp_path / "nowhere.toml"})
    clerk = Clerk(settings.model_copy(update={"models": models}))

    clerk.start()
    clerk.join(timeout=10)

    assert not clerk.is_alive()
    assert "batches.impossible" in capsys.readouterr().out
