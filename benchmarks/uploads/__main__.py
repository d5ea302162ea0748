"""What an API process takes of memory while bodies of 50 MB with pictures come in.

    python -m benchmarks.uploads [--megabytes 50] [--at-once 1 4 16]

A real API process and a real Valkey, no worker: each job is queued and cancelled again. Every 5 ms it is seen
what is in memory (RSS) of the process that serves and of those that decode beside it, two at most; pages that
they share count for each. What a body costs is the peak less what the process had before, when it had served
one small edit and nothing was going on. Bodies are noise, so that no format makes them smaller: three
pictures, by form and by JSON (there, a quarter of the body is base64's own).
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from benchmarks.uploads.bodies import BODIES, form
from benchmarks.uploads.memory import Looking, Peak
from benchmarks.uploads.serving import Serving, serving

MB: Final = 1_000_000
EDITS: Final = "/v1/images/edits"
SMALL_BYTES: Final = 100_000


@dataclass(frozen=True)
class Row:
    """One measurement, in bytes."""

    body: str
    body_bytes: int
    at_once: int
    before: Peak
    peak: Peak
    seconds: float
    statuses: tuple[int, ...]

    @property
    def costs(self) -> int:
        """What the process that serves takes more than before."""
        return self.peak.serving - self.before.serving


def send(url: str, kind: str, body: bytes) -> int:
    """Ask for an edit, cancel its job, and return the status."""
    with httpx2.Client(base_url=url, timeout=120, trust_env=False) as client:
        headers = {"content-type": kind, "prefer": "respond-async"}
        answer = client.post(EDITS, content=body, headers=headers)
        if answer.status_code == httpx2.codes.ACCEPTED:
            client.delete(f"/v1/images/jobs/{answer.json()['id']}")
        elif answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
            sys.exit(f"the service answered {answer.status_code}: {answer.text[:300]}")
        return answer.status_code


def measure(service: Serving, body: str, total_bytes: int, at_once: int) -> Row:
    """Send so many bodies at once, and look."""
    kind, content = BODIES[body](total_bytes)
    send(service.url, *form(SMALL_BYTES))
    with Looking(service.pid) as looking, ThreadPoolExecutor(at_once) as threads:
        before, began_at = looking.now(), time.perf_counter()
        statuses = list(threads.map(lambda _: send(service.url, kind, content), range(at_once)))
        seconds = time.perf_counter() - began_at
    return Row(body, len(content), at_once, before, looking.peak, seconds, tuple(statuses))


def report(rows: Sequence[Row]) -> str:
    """Return the table."""
    heads = ("MB", "at once", "taken", "idle", "peak", "costs", "readers", "all", "s")
    lines = [f"{'body':<5}" + "".join(f"{head:>9}" for head in heads)]
    for row in rows:
        taken = sum(status == httpx2.codes.ACCEPTED for status in row.statuses)
        sizes = (row.before.serving, row.peak.serving, row.costs, row.peak.decoding, row.peak.both)
        cells = [f"{row.body_bytes / MB:.1f}", str(row.at_once), str(taken)]
        cells += [f"{size / MB:.1f}" for size in sizes] + [f"{row.seconds:.1f}"]
        lines.append(f"{row.body:<5}" + "".join(f"{cell:>9}" for cell in cells))
    alone = [row.costs / MB for row in rows if row.at_once == 1]
    if alone:
        lines += [
            "",
            f"one body alone costs at most {max(alone):.1f} MB, median {statistics.median(alone):.1f} MB",
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=50, help="of a body, in millions of bytes")
    parser.add_argument(
        "--at-once", type=int, nargs="+", default=[1, 1, 1, 4, 16], help="bodies at once, in turn"
    )
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="darkroom-benchmark-") as folder:
        for body in BODIES:
            with serving(Path(folder) / body) as service:
                for at_once in options.at_once:
                    gc.collect()
                    rows.append(measure(service, body, int(options.megabytes * MB), at_once))
    print(report(rows))


if __name__ == "__main__":
    main()
