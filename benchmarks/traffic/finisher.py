"""Ends jobs from a process of its own, at a given rate, and notes when each ended.

    python -m benchmarks.traffic.finisher KIND REDIS_URL COUNT A_SECOND IMAGE_BYTES FILE

Times are of the monotonic clock, which Linux has one of for all processes.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.traffic.sides import Ours, Side, Usual


def end_all(side: Side, count: int, a_second: float, image: bytes) -> dict[str, float]:
    """End so many jobs; return when each ended, from just before its result was there."""
    ended: dict[str, float] = {}
    began_at = time.monotonic()
    while len(ended) < count and time.monotonic() - began_at < 120:  # noqa: PLR2004 - bounded, whatever happens
        jobs = side.take(100)
        if not jobs:
            time.sleep(0.002)
        for job in jobs:
            time.sleep(max(0.0, began_at + len(ended) / a_second - time.monotonic()))
            at = time.monotonic()
            ended[side.finish(job, image)] = at
    return ended


def main() -> None:
    """End jobs as the command line says."""
    kind, url, count, a_second, image_bytes, file = sys.argv[1:]
    child: Any = None
    side: Side = Ours(child, 0, url) if kind == "ours" else Usual(child, 0, url, kind)
    ended = end_all(side, int(count), float(a_second), b"A" * int(image_bytes))
    Path(file).write_text(json.dumps(ended))


if __name__ == "__main__":
    main()
