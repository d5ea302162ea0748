"""Users of a running service, in steps: some wait for their picture, some come back for it, some only look.

    locust -f benchmarks/load/locustfile.py --headless --host http://127.0.0.1:8000 \
        --steps 1,2,4,8 --step-s 15 --out load.jsonl

Bounded: it ends after the last step. What each request took goes to a file, one line a request, with the step
in which it began; ``python -m benchmarks.load.plot`` draws it.
"""

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from locust import FastHttpUser, LoadTestShape, constant, events, task
from locust.env import Environment

GENERATIONS: Final = "/v1/images/generations"
JOBS: Final = "/v1/images/jobs"


@events.init_command_line_parser.add_listener
def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--steps", default="1,2,4,8", help="users in each step")
    parser.add_argument("--step-s", type=float, default=15, help="how long a step lasts")
    parser.add_argument("--out", default="load.jsonl", help="where each request is noted")
    parser.add_argument("--key", default="", help="the API key, where the service needs one")
    parser.add_argument("--prompt", default="a lighthouse at dusk", help="what is asked for")
    parser.add_argument("--image-size", default="64x64", help="of the pictures")


class Steps(LoadTestShape):
    """So many users for so long, then the next step; the end after the last."""

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are to be now, and how many may start a second."""
        step = self.step(self.get_run_time())
        users = _users(self.runner.environment)
        return (users[step], 100.0) if step < len(users) else None

    def step(self, at_s: float) -> int:
        """Return the step in which an instant of the run lies."""
        return int(at_s / self.runner.environment.parsed_options.step_s)


def _users(environment: Environment) -> list[int]:
    return [int(users) for users in environment.parsed_options.steps.split(",")]


class Notes:
    """Writes down what requests took."""

    def __init__(self, environment: Environment) -> None:
        self._options = environment.parsed_options
        self._users = _users(environment)
        self._began_at = time.time()
        self._file = Path(self._options.out).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the run

    def note(self, **request: Any) -> None:  # noqa: ANN401 - what locust tells of a request
        """Note one request."""
        step = min(int((request["start_time"] - self._began_at) / self._options.step_s), len(self._users) - 1)
        line = {
            "name": request["name"],
            "step": max(0, step),
            "users": self._users[max(0, step)],
            "step_s": self._options.step_s,
            "took_ms": request["response_time"],
            "failed": request["exception"] is not None,
        }
        self._file.write(json.dumps(line) + "\n")

    def close(self, **_: Any) -> None:  # noqa: ANN401 - what locust tells of its end
        """Close the file."""
        self._file.close()


@events.test_start.add_listener
def _take_notes(environment: Environment, **_: object) -> None:
    notes = Notes(environment)
    environment.events.request.add_listener(notes.note)
    environment.events.quitting.add_listener(notes.close)


class Caller(FastHttpUser):
    """One caller who asks again as soon as it is answered."""

    wait_time = constant(0)
    network_timeout = 600.0

    def on_start(self) -> None:
        """Read what to ask for."""
        options = self.environment.parsed_options
        self._headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
        self._body = {"prompt": options.prompt, "size": options.image_size, "quality": "low"}

    @task(6)
    def wait_for_a_picture(self) -> None:
        """Hold the call."""
        self.client.post(GENERATIONS, json=self._body, headers=self._headers, name="held")

    @task(3)
    def come_back_for_it(self) -> None:
        """Submit, wait for the job, fetch the result."""
        prefer = {**self._headers, "Prefer": "respond-async"}
        answer = self.client.post(GENERATIONS, json=self._body, headers=prefer, name="submit")
        if answer.status_code != 202:  # noqa: PLR2004 - locust has counted it as failed
            return
        job, path, waiting = (
            answer.json(),
            f"{JOBS}/{answer.json()['id']}",
            {**self._headers, "Prefer": "wait=30"},
        )
        while job["status"] in {"queued", "running"}:
            answer = self.client.get(path, headers=waiting, name="job, wait=30")
            if answer.status_code != 200:  # noqa: PLR2004
                return
            job = answer.json()
        self.client.get(f"{path}/result", headers=self._headers, name="result")

    @task(1)
    def look(self) -> None:
        """Read the models."""
        self.client.get("/v1/models", headers=self._headers, name="models")
