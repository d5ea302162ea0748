"""Files are read apart: whatever becomes of the process that does, this one and the next call go on."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from api.edits.apart import Apart, ReaderLostError
from api.edits.document import DocumentError, Wrong
from api.edits.pictures import Files, PictureError, Size
from api.edits.received import Received
from tests import odd_pictures as odd

SOON_S = 1.0
NAP_S = 0.8
BODY = b'{"prompt": "a tiny picture"}'


@pytest.fixture
async def apart() -> AsyncIterator[Apart]:
    apart = Apart(most=1, timeout_s=20)
    yield apart
    await apart.close()


@pytest.fixture
def picture(tmp_path: Path) -> Files:
    (tmp_path / "picture").write_bytes(odd.plain((96, 64)))
    return Files((tmp_path / "picture",))


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A body that does not come for as long as nobody writes it."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def pids() -> set[int]:
    """Those of the processes that read."""
    return {each.pid for each in psutil.Process().children() if "api.edits.reader" in each.cmdline()}


async def unpack(apart: Apart, body: Path) -> Received:
    return await apart.unpack(body, body.parent, 4, 1000)


async def test_it_is_another_process_which_is_kept_for_the_next(apart: Apart, picture: Files) -> None:
    assert await apart.look(picture, 10_000) == (Size(96, 64),)
    first = pids()
    assert await apart.look(picture, 10_000) == (Size(96, 64),)

    assert len(first) == 1
    assert pids() == first


async def test_everything_it_is_asked_for_comes_back(apart: Apart, picture: Files, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(BODY)

    assert await unpack(apart, body) == Received({"prompt": "a tiny picture"}, Files(()), ())
    assert await apart.convert(picture, tmp_path, 10_000) == Files((tmp_path / "0.png",))


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSEGV, signal.SIGXCPU])
async def test_one_that_is_ended_is_told_at_once_and_another_takes_its_place(
    apart: Apart, pipe: Path, picture: Files, signum: int
) -> None:
    asking = asyncio.create_task(unpack(apart, pipe))
    await asyncio.sleep(2 * SOON_S)  # it waits for the body

    (pid,), began_at = pids(), time.monotonic()
    os.kill(pid, signum)
    with pytest.raises(ReaderLostError):
        await asking
    assert time.monotonic() - began_at < SOON_S

    assert await apart.look(picture, 10_000) == (Size(96, 64),)
    assert pid not in pids()


async def test_one_that_is_ended_at_its_work_is_replaced_once(
    apart: Apart, pipe: Path, picture: Files
) -> None:
    await apart.look(picture, 10_000)
    asking = asyncio.create_task(unpack(apart, pipe))
    killed: set[int] = set()

    for _ in range(2):
        await asyncio.sleep(2 * SOON_S)  # it waits for the body
        (pid,) = pids()
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)

    with pytest.raises(ReaderLostError):
        await asking
    assert len(killed) == 2
    assert await apart.look(picture, 10_000) == (Size(96, 64),)


async def test_one_that_ended_while_nobody_asked_is_replaced_unnoticed(apart: Apart, picture: Files) -> None:
    await apart.look(picture, 10_000)
    (pid,) = pids()
    os.kill(pid, signal.SIGKILL)

    assert await apart.look(picture, 10_000) == (Size(96, 64),)


async def test_one_that_takes_too_long_is_ended(pipe: Path, picture: Files) -> None:
    hasty = Apart(most=1, timeout_s=2 * SOON_S)
    await hasty.look(picture, 10_000)
    first = pids()

    with pytest.raises(TimeoutError):
        await unpack(hasty, pipe)

    assert pids() == set()
    assert await hasty.look(picture, 10_000) == (Size(96, 64),)
    assert not pids() & first
    await hasty.close()


async def test_one_whose_caller_leaves_is_ended(apart: Apart, pipe: Path, picture: Files) -> None:
    await apart.look(picture, 10_000)
    first = pids()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await unpack(apart, pipe)

    assert pids() == set()
    assert await apart.look(picture, 10_000) == (Size(96, 64),)
    assert not pids() & first


async def test_what_it_may_take_has_an_end(apart: Apart, tmp_path: Path, picture: Files) -> None:
    body = tmp_path / "body"
    # Each `{},` takes 64 bytes and more.
    body.write_bytes(b'{"images": [' + b"{}," * 17_000_000 + b"0]}")

    with pytest.raises(ReaderLostError):
        await unpack(apart, body)

    assert await apart.look(picture, 10_000) == (Size(96, 64),)


async def test_what_is_wrong_is_said_as_there(apart: Apart, picture: Files, tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="is no png") as of_picture:
        await apart.look(Files((*picture.images, tmp_path / "none")), 10_000)
    assert of_picture.value.picture == 1

    with pytest.raises(DocumentError) as of_body:
        await unpack(apart, tmp_path / "none")
    assert of_body.value.kind is Wrong.JSON

    with pytest.raises(FileNotFoundError):
        await apart.convert(picture, tmp_path / "no folder", 10_000)


async def test_it_ends_by_itself_where_nobody_is_left_who_would_end_it(
    apart: Apart, picture: Files, tmp_path: Path
) -> None:
    (tmp_path / "body").write_bytes(BODY)
    await apart.look(picture, 10_000)
    await unpack(apart, tmp_path / "body")

    (pid,) = pids()
    process = psutil.Process(pid)
    soft, _ = process.rlimit(psutil.RLIMIT_CPU)
    assert 20 < soft < sum(process.cpu_times()[:2]) + 23


async def test_it_knows_nothing_of_what_this_process_is_told(
    monkeypatch: pytest.MonkeyPatch, apart: Apart, picture: Files
) -> None:
    monkeypatch.setenv("DARKROOM_REDIS__URL", "redis://:secret@store")
    await apart.look(picture, 10_000)

    (pid,) = pids()
    assert not [name for name in psutil.Process(pid).environ() if name.startswith("DARKROOM_")]


async def test_no_more_are_asked_at_a_time_than_were_said_and_those_who_wait_lose_no_time(
    pipe: Path, picture: Files
) -> None:
    apart = Apart(most=1, timeout_s=2.5 * NAP_S)
    await apart.look(picture, 10_000)

    async def slowly() -> Received:
        return await unpack(apart, pipe)

    async def written() -> None:
        for _ in range(4):
            await asyncio.sleep(NAP_S)
            await asyncio.to_thread(pipe.write_bytes, BODY)

    began_at = time.monotonic()
    await asyncio.gather(written(), *(slowly() for _ in range(4)))

    assert time.monotonic() - began_at >= 4 * NAP_S
    assert len(pids()) == 1
    await apart.close()
    assert pids() == set()
