"""What the soak says of processes: a leak looks otherwise than a start, and one that has ended is missed."""

import os
import subprocess
import sys

from benchmarks.soak.report import processes
from benchmarks.soak.watching import Taken, Watch, growths

KIB = 1024


def run(*grown_kib_a_minute: int) -> list[Taken]:
    """A process looked at once a second, which grew by so much in each minute."""
    samples, memory = [], 1e8
    for second in range(60 * len(grown_kib_a_minute)):
        samples.append(Taken(second, int(memory), 7, 3))
        memory += grown_kib_a_minute[second // 60] * KIB / 60
    return samples


def test_growth_that_ends_is_told_from_growth_that_goes_on() -> None:
    (warming,) = [row for row in processes({"api": run(900, 100, 0)}) if row.startswith("| api")]
    (leaking,) = [row for row in processes({"api": run(900, 700, 700)}) if row.startswith("| api")]

    assert "| +900 / +100 / +0 |" in warming
    assert "| +900 / +700 / +700 |" in leaking


def test_too_few_looks_have_no_growth() -> None:
    assert growths(run(60)[:2]) == [0.0, 0.0, 0.0]


def test_a_process_that_ends_is_noticed_and_the_others_are_looked_at_further() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watch = Watch({"short": process.pid, "long": os.getpid()}, 1)
    watch.look()

    process.communicate(b"\n", timeout=10)
    watch.look()

    assert list(watch.ended) == ["short"]
    assert (len(watch.samples["short"]), len(watch.samples["long"])) == (1, 2)
