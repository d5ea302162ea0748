"""Batches that are asked for while everything breaks, and what must be in their files afterwards."""

import asyncio
import base64
import io
import json
import random
from typing import Any, Final

import httpx2
from PIL import Image

from tests.faults.harness.lasting import lasting

Json = dict[str, Any]
GENERATIONS: Final = "/v1/images/generations"
LINES: Final = (5, 40)
PAUSE_S: Final = (1.0, 6.0)
CANCELLED: Final = 0.2
"""How many of them are cancelled."""
# None that kills: batches are drawn to their end when nobody restarts workers any more.
_POISONS: Final = ("poison:raise", "poison:oom-once", "n:wrong")
_REFUSED: Final = frozenset({429, 503})
_ENDS: Final = frozenset({"completed", "cancelled"})


class BatchLoad:
    """One owner who asks for batch after batch.

    Args:
        seed: decides what is asked for.
        urls: where.
    """

    def __init__(self, seed: int, urls: list[str]) -> None:
        self.made: dict[str, list[str]] = {}
        self._rng = random.Random(f"{seed}.batches")
        self._urls = urls
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._ask_on())

    async def stop(self) -> None:
        """Ask for nothing more."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def problems(self, url: str) -> list[str]:
        """Return what is not as it must be once all batches have ended: each line is answered once."""
        async with _client(url) as http:
            found: list[str] = []
            for batch_id, names in self.made.items():
                found += await _look(http, batch_id, names)
            return found

    async def _ask_on(self) -> None:
        while not self._stopping.is_set():
            try:
                async with _client(self._rng.choice(self._urls)) as http:
                    await self._ask(http)
            except (httpx2.TransportError, TimeoutError):
                pass
            await lasting(self._rng.uniform(*PAUSE_S))

    async def _ask(self, http: httpx2.AsyncClient) -> None:
        lines = [self._line(i) for i in range(self._rng.randint(*LINES))]
        content = "\n".join(map(json.dumps, lines)).encode()
        files = {"file": ("lines.jsonl", content)}
        uploaded = await http.post("/v1/files", data={"purpose": "batch"}, files=files)
        if uploaded.status_code != httpx2.codes.OK:
            return
        body = {
            "input_file_id": uploaded.json()["id"],
            "endpoint": GENERATIONS,
            "completion_window": "24h",
        }
        made = await http.post("/v1/batches", json=body)
        if made.status_code != httpx2.codes.OK:
            return
        batch_id = made.json()["id"]
        self.made[batch_id] = [line["custom_id"] for line in lines]
        if self._rng.random() < CANCELLED:
            await lasting(self._rng.uniform(0, 2))
            await http.post(f"/v1/batches/{batch_id}/cancel")

    def _line(self, number: int) -> Json:
        words = [f"batch {number} slow:{self._rng.choice([2, 5, 20])}"]
        if self._rng.random() < 0.05:
            words.append(self._rng.choice(_POISONS))
        body = {"prompt": " ".join(words), "size": "64x64", "n": 99 if "n:wrong" in words else 1}
        return {"custom_id": f"line {number}", "method": "POST", "url": GENERATIONS, "body": body}


def _client(url: str) -> httpx2.AsyncClient:
    headers = {"Authorization": "Bearer owner of batches"}
    return httpx2.AsyncClient(base_url=url, headers=headers, timeout=20, trust_env=False)


async def _look(http: httpx2.AsyncClient, batch_id: str, names: list[str]) -> list[str]:
    batch = (await http.get(f"/v1/batches/{batch_id}")).json()
    if batch.get("status") not in _ENDS:
        return [f"{batch_id} is {batch.get('status', batch)}"]
    output, errors = [await _lines(http, batch[each]) for each in ("output_file_id", "error_file_id")]
    if batch["in_progress_at"] is None:
        return [] if not (output or errors) else [f"{batch_id} has files and was never begun"]
    found = _order(batch_id, names, output, errors)
    counts = batch["request_counts"]
    if (counts["completed"], counts["failed"]) != (len(output), len(errors)):
        found.append(f"{batch_id} counts {counts}, and has {len(output)} and {len(errors)} lines")
    return [*found, *(each for line in output if (each := _strange(batch_id, line)))]


def _order(batch_id: str, names: list[str], output: list[Json], errors: list[Json]) -> list[str]:
    """Look whether each line is there once, and where it was in the file that was sent."""
    told = sorted(line["custom_id"] for line in [*output, *errors])
    if told != sorted(names):
        return [f"{batch_id} answers {len(told)} lines of {len(names)}, or others, or one twice"]
    places = [[names.index(line["custom_id"]) for line in lines] for lines in (output, errors)]
    return [] if all(each == sorted(each) for each in places) else [f"{batch_id} has another order"]


def _strange(batch_id: str, line: Json) -> str:
    """Look whether a line has the picture of its own job."""
    picture = base64.b64decode(line["response"]["body"]["data"][0]["b64_json"])
    job = Image.open(io.BytesIO(picture)).info.get("job")
    own = line["id"] == f"batch_req_{job}"
    return "" if own else f"{batch_id}: {line['custom_id']} has the picture of another job"


async def _lines(http: httpx2.AsyncClient, file_id: str | None) -> list[Json]:
    if file_id is None:
        return []
    answer = await http.get(f"/v1/files/{file_id}/content")
    return [json.loads(line) for line in answer.content.splitlines()]
