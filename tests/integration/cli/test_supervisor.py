"""Children end with their parent, are started again when they die, and are stopped in order."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.leash import leashed
from cli.processes import Child, Program
from cli.supervisor import Supervisor
from tests.integration.cli.processes import is_alive, start_program
from tests.waiting import wait_until

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""


def pid_of(folder: Path, name: str) -> int:
    file = folder / name
    return wait_until(lambda: int(file.read_text() or 0) if file.exists() else 0, what=f"the child {name}")


@contextmanager
def keeper(folder: Path, grace_s: float = 10, front: str = "obeys") -> Iterator[subprocess.Popen[str]]:
    with start_program("keeper.py", folder, str(grace_s), front) as parent:
        try:
            yield parent
        finally:
            parent.kill()


def sleeper(folder: Path, code: str = "import time; time.sleep(60)", name: str = "sleeper") -> Child:
    return Child(Program(name, (sys.executable, "-c", code), folder / f"{name}.log", folder))


def test_a_killed_parent_takes_every_child_with_it(tmp_path: Path) -> None:
    with keeper(tmp_path, front="ignores") as parent:
        pids = [pid_of(tmp_path, "store"), pid_of(tmp_path, "front")]
        assert all(map(is_alive, pids))

        parent.send_signal(signal.SIGKILL)

        wait_until(lambda: not any(map(is_alive, pids)), what="the end of the children")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_front_before_the_store(tmp_path: Path, signum: signal.Signals) -> None:
    with keeper(tmp_path) as parent:
        pids = [pid_of(tmp_path, "store"), pid_of(tmp_path, "front")]

        parent.send_signal(signum)
        output, _ = parent.communicate(timeout=10)

    assert output.split("\n") == [f"told {signum.name}", "stopped", ""]
    assert parent.returncode == 0
    assert (tmp_path / "told").read_text().split() == ["front", "store"]
    assert not any(map(is_alive, pids))


def test_a_child_that_does_not_stop_is_killed_after_its_time_of_grace(tmp_path: Path) -> None:
    with keeper(tmp_path, grace_s=0.2, front="ignores") as parent:
        pids = [pid_of(tmp_path, "store"), pid_of(tmp_path, "front")]

        parent.send_signal(signal.SIGTERM)
        parent.communicate(timeout=10)

    assert parent.returncode == 0
    assert not any(map(is_alive, pids))


def test_a_second_signal_cuts_the_time_of_grace_short(tmp_path: Path) -> None:
    with keeper(tmp_path, grace_s=600, front="ignores") as parent:
        front = pid_of(tmp_path, "front")
        parent.send_signal(signal.SIGINT)
        wait_until((tmp_path / "told").exists, what="the first signal")
        assert is_alive(front)

        parent.send_signal(signal.SIGINT)
        parent.communicate(timeout=10)

    assert parent.returncode == 0
    assert not is_alive(front)


def test_a_child_that_dies_is_started_again_and_it_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(lambda line, _: said.append(line))
    child = sleeper(tmp_path)
    supervisor.start(child)
    first = child.process.pid

    child.process.send_signal(signal.SIGKILL)
    child.process.wait()
    wait_until(lambda: supervisor.watch() or child.process.pid != first, what="the restart")

    assert is_alive(child.process.pid)
    assert said == [
        "sleeper was ended by SIGKILL; starting it again in 0.5 s",
        "sleeper was started again",
    ]
    supervisor.stop()
    assert not child.running


def test_a_child_that_keeps_dying_is_started_less_and_less_often(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(lambda line, _: said.append(line))
    supervisor.start(sleeper(tmp_path, "import sys; sys.exit(3)"))

    wait_until(lambda: supervisor.watch() or len(said) == 3, what="two deaths")
    supervisor.stop()

    assert said[::2] == [f"sleeper ended with exit code 3; starting it again in {s} s" for s in ("0.5", "1")]


def test_a_dead_child_is_named_and_leaves_no_zombie(tmp_path: Path) -> None:
    supervisor = Supervisor(lambda *_: None)
    child = sleeper(tmp_path, "raise SystemExit(4)")
    supervisor.start(child)

    assert wait_until(supervisor.dead) is child
    assert not Path(f"/proc/{child.process.pid}").exists()
    assert child.end_in_words() == "ended with exit code 4"


def test_children_of_one_group_are_stopped_at_once(tmp_path: Path) -> None:
    supervisor = Supervisor(lambda *_: None)
    children = [sleeper(tmp_path, STUBBORN, f"child-{i}") for i in range(4)]
    supervisor.start(*children)
    for child in children:
        wait_until(lambda log=child.program.log: log.exists() and log.read_text(), what="the child")

    supervisor.stop(grace_s=0.5)

    assert [child.process.returncode for child in children] == [-signal.SIGKILL] * 4


def test_a_child_that_runs_is_not_started_beside_itself(tmp_path: Path) -> None:
    child = sleeper(tmp_path)
    child.start()
    pid = child.process.pid
    try:
        with pytest.raises(RuntimeError, match="runs already"):
            child.start()
        assert child.process.pid == pid
    finally:
        child.kill()


def test_a_program_that_cannot_be_run_says_so_in_its_log(tmp_path: Path) -> None:
    child = Child(
        Program("nothing", (str(tmp_path / "missing"),), tmp_path / "logs" / "nothing.log", tmp_path)
    )

    child.start()

    assert child.wait(10)
    assert child.process.returncode == 1
    assert "No such file or directory" in child.program.log.read_text()


def test_a_child_is_started_only_from_the_main_thread() -> None:
    errors: list[RuntimeError] = []

    def start() -> None:
        with pytest.raises(RuntimeError, match="main thread") as caught:
            leashed(["true"])
        errors.append(caught.value)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert len(errors) == 1
