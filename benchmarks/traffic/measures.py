"""What is measured of a side: held calls, the way of a large picture, submissions a second."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from benchmarks.traffic.sides import Ours, Side, cpu_s, memory_bytes, running, wait_listening
from benchmarks.traffic.wire import Answer, Wire, get
from cli.ports import free_port
from cli.processes import Child, Program
from cli.valkey import EmbeddedServer
from shared.redis_clients import sync_client
from shared.settings import REPO_ROOT, RedisSettings

PICTURE_BYTES: Final = 2 * 1024**2
SMALL_BYTES: Final = 1024
_OPENING: Final = 200


@dataclass(frozen=True)
class Held:
    """What holding calls did.

    Attributes:
        asked, submitted: calls that were made, and how many had become jobs before any ended.
        bytes_a_call: resident memory beyond the idle process, each.
        others_ms: latencies of other requests while nothing ends.
        others_ending_ms: the same, from when jobs begin to end until every call has its answer.
        woken_s: from the end of a job to the last byte at its caller.
        errors: answers that were no picture.
    """

    asked: int
    submitted: int
    bytes_a_call: float
    others_ms: Sequence[float]
    others_ending_ms: Sequence[float]
    woken_s: Sequence[float]
    errors: int


async def hold(side: Side, kind: str, url: str, calls: int, a_second: float, folder: Path) -> Held:
    """Hold so many calls, ask other things meanwhile, then end the jobs at a rate."""
    await _ask(side, 50)
    idle = memory_bytes(side.api)
    waiting = []
    for start in range(0, calls, _OPENING):
        wires = [await Wire.open(side.port) for _ in range(min(_OPENING, calls - start))]
        waiting += [asyncio.create_task(wire.ask(side.hold)) for wire in wires]
        await _until_still(side, seconds=0.1)
    await _until_still(side, seconds=2)
    submitted, held = side.waiting(), memory_bytes(side.api)
    others_ms = await _ask(side, 300)
    ended_file = folder / "ended.json"
    arguments = (kind, url, str(calls), str(a_second), str(SMALL_BYTES), str(ended_file))
    finisher = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.traffic.finisher", *arguments, cwd=REPO_ROOT
    )
    answered = asyncio.Event()
    asking = asyncio.create_task(_ask(side, sys.maxsize, seconds=150, until=answered))
    done, late = await asyncio.wait(waiting, timeout=150)
    answered.set()
    for task in late:
        task.cancel()
    await finisher.wait()
    answers = [task.result() for task in done if task.exception() is None]
    return Held(
        asked=calls,
        submitted=submitted,
        bytes_a_call=(held - idle) / calls,
        others_ms=others_ms,
        others_ending_ms=await asking,
        woken_s=_woken(side, answers, json.loads(ended_file.read_text())),
        errors=calls - sum(answer.status == 200 for answer in answers),  # noqa: PLR2004
    )


def _woken(side: Side, answers: Sequence[Answer], ended: dict[str, float]) -> list[float]:
    good = [answer for answer in answers if answer.status == 200]  # noqa: PLR2004
    return sorted(answer.at - ended[side.job_id(answer.headers, answer.body)] for answer in good)


async def _until_still(side: Side, seconds: float) -> None:
    """Wait until no more jobs arrive for so long."""
    last, since = side.waiting(), time.monotonic()
    while time.monotonic() - since < seconds:
        await asyncio.sleep(0.02)
        now = side.waiting()
        if now != last:
            last, since = now, time.monotonic()


async def _ask(
    side: Side, times: int, *, seconds: float = 60, until: asyncio.Event | None = None
) -> list[float]:
    """Ask whether the process lives, so often or so long, or until then; return sorted latencies in ms."""
    found: list[float] = []
    gives_up_at = time.monotonic() + seconds
    wire = await Wire.open(side.port)
    while len(found) < times and time.monotonic() < gives_up_at:
        if until is not None and until.is_set():
            break
        began_at = time.perf_counter()
        await wire.ask(get("/healthz"))
        found.append(1000 * (time.perf_counter() - began_at))
        await asyncio.sleep(0.005)
    wire.close()
    return sorted(found)


async def picture_ms(side: Side, times: int) -> tuple[float, float]:
    """Return the API's CPU time for a result of 2 MB and for one of 1 KB, in ms each."""
    wire = await Wire.open(side.port)
    costs = []
    for size in (PICTURE_BYTES, SMALL_BYTES):
        await wire.ask(side.submit)
        (job,) = side.take(1)
        ask = side.result(side.finish(job, b"A" * size))
        for _ in range(20):
            await wire.ask(ask)
        before = cpu_s(side.api)
        for _ in range(times):
            answer = await wire.ask(ask)
            if len(answer.body) <= size:
                sys.exit(f"no picture came: {answer.body[:200]!r}")
        costs.append(1000 * (cpu_s(side.api) - before) / times)
    return costs[0], costs[1]


@dataclass(frozen=True)
class Addressed:
    """What a picture of 2 MB of base64 costs where its caller asks for an address.

    Attributes:
        answer_ms: the API's CPU time for the answer with the address.
        fetch_ms: the same for the picture itself, from the folder.
        redis_bytes: what its result takes in Redis.
        redis_base64_bytes: what it takes there as base64.
    """

    answer_ms: float
    fetch_ms: float
    redis_bytes: int
    redis_base64_bytes: int


async def addressed(side: Ours, times: int) -> Addressed:
    """Return what a picture costs as an address."""
    wire = await Wire.open(side.port)
    await wire.ask(side.submit)
    (job,) = side.take(1)
    base64_bytes = side.kept_bytes(side.finish(job, b"A" * PICTURE_BYTES))
    await wire.ask(side.submit_by_url)
    (job,) = side.take(1)
    job_id = side.finish_stored(job, b"A" * (PICTURE_BYTES * 3 // 4))
    answer = await wire.ask(side.result(job_id))
    url = urlsplit(json.loads(answer.body)["data"][0]["url"])
    answer_ms = await _cpu_ms(side, wire, side.result(job_id), times)
    fetch_ms = await _cpu_ms(side, wire, get(f"{url.path}?{url.query}"), times)
    return Addressed(answer_ms, fetch_ms, side.kept_bytes(job_id), base64_bytes)


async def _cpu_ms(side: Side, wire: Wire, request: bytes, times: int) -> float:
    for _ in range(20):
        await wire.ask(request)
    before = cpu_s(side.api)
    for _ in range(times):
        answer = await wire.ask(request)
        if answer.status != 200:  # noqa: PLR2004 - HTTP's own
            sys.exit(f"no picture came: {answer.body[:200]!r}")
    return 1000 * (cpu_s(side.api) - before) / times


async def copied_ms(folder: Path, size: int, times: int) -> float:
    """Return the CPU time of :mod:`benchmarks.traffic.copying` for a value of this size, in ms."""
    with EmbeddedServer(folder / "valkey") as server:
        with sync_client(RedisSettings(url=SecretStr(server.url))) as client:
            client.set("value", b"A" * size)
        port = free_port()
        program = (sys.executable, "-m", "benchmarks.traffic.copying", str(port))
        command = (*program, str(urlsplit(server.url).port), "value")
        with running(Child(Program("copying", command, folder / "copying.log", REPO_ROOT))) as child:
            wait_listening(port)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2 * size)

            async def one() -> None:
                writer.write(b".")
                await reader.readexactly(size)

            for _ in range(20):
                await one()
            before = cpu_s(child)
            for _ in range(times):
                await one()
            took_ms = 1000 * (cpu_s(child) - before) / times
            writer.close()
    return took_ms


async def submits(side: Side, seconds: float, connections: int) -> tuple[float, int, list[float]]:
    """Submit as fast as answers come; return how many a second, how many refused, and latencies in ms."""
    good, bad, took_ms = 0, 0, []
    ends_at = time.monotonic() + seconds

    async def one() -> None:
        nonlocal good, bad
        wire = await Wire.open(side.port)
        while time.monotonic() < ends_at:
            began_at = time.perf_counter()
            answer = await wire.ask(side.submit)
            took_ms.append(1000 * (time.perf_counter() - began_at))
            if answer.status in {200, 202}:
                good += 1
            else:
                bad += 1
        wire.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return good / seconds, bad, sorted(took_ms)
