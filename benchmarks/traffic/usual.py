"""The pattern that is measured beside ours: FastAPI, Celery's result backend, and a route that polls it.

``/poll`` waits in the event loop and asks every ``USUAL_POLL_S``; ``/threads`` waits in the thread pool that
FastAPI gives to plain functions. Both are written as tutorials write them.
"""

import asyncio
import os
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from fastapi import FastAPI

URL = os.environ["USUAL_REDIS"]
POLL_S = float(os.environ.get("USUAL_POLL_S", "0.2"))

celery_app = Celery("usual", broker=URL, backend=URL)
celery_app.conf.task_ignore_result = False
app = FastAPI()


@celery_app.task(name="draw")  # type: ignore[untyped-decorator]
def draw(prompt: str) -> dict[str, Any]:
    """Only its name is used: the benchmark says when a task ends, and with what."""
    raise NotImplementedError(prompt)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


@app.get("/jobs/{task_id}")
async def job(task_id: str) -> dict[str, str]:
    """A task's state."""
    return {"state": AsyncResult(task_id, app=celery_app).state}


@app.get("/jobs/{task_id}/result")
async def result(task_id: str) -> dict[str, Any]:
    """A task's result."""
    found: dict[str, Any] = AsyncResult(task_id, app=celery_app).get()
    return found


@app.post("/poll")
async def poll(body: dict[str, Any]) -> dict[str, Any]:
    """Submit, then ask again and again."""
    waiting = draw.delay(body["prompt"])
    while not waiting.ready():  # noqa: ASYNC110 - the pattern is what is measured
        await asyncio.sleep(POLL_S)
    return {"id": waiting.id, **waiting.get()}


@app.post("/threads")
def threads(body: dict[str, Any]) -> dict[str, Any]:
    """Submit, then wait in a thread."""
    waiting = draw.delay(body["prompt"])
    return {"id": waiting.id, **waiting.get(timeout=120)}


@app.post("/submit")
async def submit(body: dict[str, Any]) -> dict[str, str]:
    """Submit and do not wait."""
    return {"id": draw.delay(body["prompt"]).id}
