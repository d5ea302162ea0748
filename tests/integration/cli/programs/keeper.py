"""Starts two children in two groups, says who they are, and watches them until it is told to stop.

The children note what they are told. One of them ends when asked; the other does not care.
"""

import sys
import time
from pathlib import Path

from cli.processes import Child, Program
from cli.signals import StopRequested, StopSignals
from cli.supervisor import Supervisor

CHILD = """
import signal, sys, time
from pathlib import Path
name, folder, obeys = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "obeys"
def told(*_):
    with (folder / "told").open("a") as file:
        file.write(name + "\\n")
    if obeys:
        sys.exit(0)
signal.signal(signal.SIGTERM, told)
(folder / name).write_text(str(__import__("os").getpid()))
while True:
    time.sleep(0.02)
"""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    folder, grace_s = Path(sys.argv[1]), float(sys.argv[2])
    children = [
        Child(
            Program(
                name, (sys.executable, "-c", CHILD, name, str(folder), obeys), folder / f"{name}.log", folder
            )
        )
        for name, obeys in (("store", "obeys"), ("front", sys.argv[3]))
    ]
    supervisor = Supervisor(lambda line, _: say(line))
    with StopSignals() as signals:
        try:
            for child in children:
                supervisor.start(child)
            while True:
                supervisor.watch()
                time.sleep(0.02)
        except StopRequested as stop:
            say(f"told {stop}")
        finally:
            signals.defer()
            supervisor.stop(signals.hurry, grace_s)
    say("stopped")


if __name__ == "__main__":
    main()
