"""`darkroom up` on a machine with several GPUs: a worker on each, which sees it alone and says which."""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from cli.ports import LOOPBACK, free_port
from tests.fake_gpus import THREE, UUIDS, path_with_gpus
from tests.http_caller import HttpCaller
from tests.service import process
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

START_S: Final = 240.0
AGAIN_S: Final = 120.0

Workers = dict[str, dict[str, Any]]


class Up:
    """`darkroom up`, and what its page tells of the workers.

    Torch sees none of these GPUs, so with the device `auto` the workers draw on the CPU.
    """

    def __init__(self, folder: Path, catalogue: Path, *options: str) -> None:
        port, run = free_port(), str(folder / "run")
        places = ("--port", str(port), "--run-folder", run)
        self.child = process(
            "up",
            (sys.executable, "-m", "cli", "up", *places, *options),
            folder,
            PATH=path_with_gpus(folder, *THREE),
            CUDA_VISIBLE_DEVICES="0,1,2",
            DARKROOM_WORKER__DEVICE="auto",
            DARKROOM_MODELS__CATALOGUE=str(catalogue),
        )
        self.caller = HttpCaller(f"http://{LOOPBACK}:{port}")

    @property
    def said(self) -> str:
        return self.child.program.log.read_text()

    def workers(self, *labels: str, but: str = "") -> Workers | None:
        """The live workers of the operator's view, by the GPU in their names; None where others are wanted.

        Args:
            labels: what is wanted.
            but: a worker that is dead, whose last heartbeat may still be remembered.
        """
        assert self.child.running, self.said
        answer = self.caller.http.get("/v1/operator")
        assert answer.status_code == 200, answer.text
        live = [worker for worker in answer.json()["workers"] if worker["name"] != but]
        found = {worker["name"].split(":")[1]: worker for worker in live}
        return found if len(live) == len(labels) and set(found) == set(labels) else None

    def ready(self) -> bool:
        assert self.child.running, self.said
        return "ready after" in self.said


@pytest.fixture
def up(tmp_path: Path, tiny_catalogue_file: Path) -> Iterator[Up]:
    up = Up(tmp_path, tiny_catalogue_file, "--gpus", "0,2")
    with up.caller:
        up.child.start()
        try:
            yield up
        finally:
            up.child.stop(20)


def pid_of(worker: dict[str, Any]) -> int:
    """The process of a worker that is named by its GPU, as every name of one is."""
    found = re.fullmatch(rf"{re.escape(socket.gethostname())}:gpu\d:(\d+):[0-9a-f]{{4}}", worker["name"])
    assert found, worker
    return int(found[1])


def environment_of(worker: dict[str, Any]) -> dict[str, str]:
    entries = Path(f"/proc/{pid_of(worker)}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


@pytest.mark.timeout(600)  # three starts of a worker
def test_each_gpu_has_a_worker_that_sees_it_alone_and_keeps_it_when_it_is_started_again(up: Up) -> None:
    wait_until(up.ready, START_S, "readiness")
    workers = wait_until(lambda: up.workers("gpu0", "gpu2"), START_S, "a worker on each")
    assert workers

    assert "one worker on each of: gpu0 (NVIDIA H100 80GB HBM3, 79.6 GiB), gpu2 (NVIDIA GB10)\n" in up.said
    for label, uuid in (("gpu0", UUIDS[0]), ("gpu2", UUIDS[2])):
        assert environment_of(workers[label])["CUDA_VISIBLE_DEVICES"] == uuid
        assert workers[label]["device"] == f"{label}: cpu"
        assert workers[label]["models"] == ["tiny", "plain", "looks"]

    os.kill(pid_of(workers["gpu2"]), signal.SIGKILL)
    wait_until(lambda: "worker-gpu2 was started again" in up.said, AGAIN_S, "another start")
    again = wait_until(
        lambda: up.workers("gpu0", "gpu2", but=workers["gpu2"]["name"]), AGAIN_S, "another worker of gpu2"
    )
    assert again

    assert again["gpu0"]["name"] == workers["gpu0"]["name"]
    assert environment_of(again["gpu2"])["CUDA_VISIBLE_DEVICES"] == UUIDS[2]
