"""Mixed traffic for a long time, against several API processes and workers.

    python -m benchmarks.soak [--minutes 60] [--callers 16] [--owners 5] [--processes 2] [--workers 2]

The service is the real one, with an engine that draws in no time: what is worn is everything else. Callers
hold calls, follow jobs, stream, cancel, hang up and repeat themselves. Ends with a status that is not zero
where anybody got an answer that nobody should get, or where anything is left when all has expired.
"""

import argparse
import secrets
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.soak.report import answers, latencies, leavings, processes
from benchmarks.soak.run import Soak, Traffic, run


def main() -> int:
    """Run, print the report, return the exit status."""
    parser = argparse.ArgumentParser(description="mixed traffic for a long time, and what is left of it")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--owners", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2, help="API processes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args()
    traffic = Traffic(60 * options.minutes, options.callers, options.owners, options.seed)
    whose = f"{traffic.callers} callers of {traffic.owners} owners"
    print(f"seed {traffic.seed}: {whose} for {options.minutes:g} minutes", flush=True)
    with TemporaryDirectory(prefix="darkroom-soak-") as folder:
        soak = run(Path(folder), traffic, processes=options.processes, workers=options.workers)
    return tell(soak)


def tell(soak: Soak) -> int:
    """Print what a run has shown; return the exit status."""
    for part in (latencies(soak.heard.samples, soak.seconds), processes(soak.taken), answers(soak.heard)):
        print("\n" + "\n".join(part))
    print(f"\nall keys that must go had gone {soak.settled_s:.0f} s after the last call")
    print("\n".join(leavings(soak.kept, soak.disk_bytes)))
    for problem in soak.problems[:50]:
        print(f"PROBLEM {problem}")
    print(f"{len(soak.problems)} problems")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
