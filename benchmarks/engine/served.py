"""The whole service as a contender: the same requests over HTTP, up to the last byte of each answer."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
from typing_extensions import override

from benchmarks.engine.contenders import Contender
from benchmarks.engine.work import Arrival, Outcome
from shared.catalogue import ModelSpec
from worker.engine import ImageRequest

MOST_CALLS = 256


class Served(Contender):
    """Ours through the API, Valkey, Celery and the worker; it also encodes base64 and sends it."""

    name = "ours, served"

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    @override
    def run(self, arrivals: Sequence[Arrival]) -> Outcome:
        began_at = time.perf_counter()
        with ThreadPoolExecutor(min(MOST_CALLS, len(arrivals))) as callers:
            calls = []
            for arrival in arrivals:
                time.sleep(max(0.0, arrival.at_s - (time.perf_counter() - began_at)))
                calls.append(callers.submit(self._call, arrival.body, began_at + arrival.at_s))
            latencies_s = tuple(call.result() for call in calls)
        return Outcome(latencies_s, time.perf_counter() - began_at)

    @override
    def together(self, request: ImageRequest) -> int:
        return 1

    def _call(self, body: dict[str, Any], asked_at: float) -> float:
        answer = self._client.post("/v1/images/generations", json=body)
        if answer.status_code != httpx2.codes.OK:
            message = f"the service answered {answer.status_code}: {answer.text[:300]}"
            raise SystemExit(message)
        return time.perf_counter() - asked_at


def write_catalogue(spec: ModelSpec, weights: Path, file: Path) -> Path:
    """Write a catalogue of one model whose weights are in this folder; return the file."""
    entry = spec.model_copy(update={"weights": str(weights)}).model_dump(mode="json", exclude_none=True)
    lines = [f"default = {json.dumps(spec.name)}", "[[model]]"]
    lines += [f"{name} = {_toml(value)}" for name, value in entry.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _toml(value: Any) -> str:  # noqa: ANN401 - JSON's types
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)  # of everything but objects TOML's form is JSON's
