"""Everything goes wrong at random, for minutes; then an independent checker looks at what is left.

    python -m tests.faults.chaos --seed 7 --seconds 600 --workers 4

The seed decides what breaks when and what the callers ask for; the same seed does the same again.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.settings import REPO_ROOT
from tests.faults.checker import Checker
from tests.faults.harness.batches import BatchLoad
from tests.faults.harness.cluster import PREFIX, Cluster
from tests.faults.harness.lasting import lasting
from tests.faults.harness.load import Load
from tests.faults.harness.mischief import Mischief, plan
from tests.faults.harness.webhooks import WebhookReceiver
from tests.waiting import wait_until_async

SETTLE_S: Final = 60.0
OWNERS: Final = 8
# Ended by us or by a poisoned prompt, by the watchdog, or in good order.
EXPECTED_EXITS: Final = {-9, 0, 70}
MOST_THREADS: Final = 40
RUNS: Final = REPO_ROOT / ".darkroom" / "chaos-runs.jsonl"
HOUR_S: Final = 3600.0
# Those who ask at this API process are in a hurry: deadlines pass, queued and running; and it is soon full.
HASTY: Final = "api-3"


@dataclass
class Outcome:
    """What a run did and found."""

    seed: int
    seconds: float
    faults: dict[str, int]
    answers: Counter[str]
    statuses: Counter[str]
    accepted: int
    settled_s: float
    edits: int = 0
    """How many of the jobs began with pictures."""
    batches: int = 0
    lines: int = 0
    """Of how many batches, and lines in them, each line was to be answered once."""
    deliveries: int = 0
    tries: int = 0
    """Of how many ends a webhook's receiver took word, and how many requests that took."""
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}, {self.seconds:g} s: {sum(self.faults.values())} faults",
            f"{self.accepted} jobs accepted, {self.edits} of all edits",
            f"{self.batches} batches with {self.lines} lines",
            f"{self.deliveries} deliveries of webhooks in {self.tries} tries",
            f"all ended {self.settled_s:.1f} s after everything was mended",
            "faults: " + ", ".join(f"{kind} {times}" for kind, times in sorted(self.faults.items())),
            "jobs: " + ", ".join(f"{status} {times}" for status, times in self.statuses.most_common()),
            "answers: " + ", ".join(f"{answer} {times}" for answer, times in self.answers.most_common()),
            *(f"PROBLEM {problem}" for problem in self.problems[:50]),
            f"{len(self.problems)} problems",
        ]
        return "\n".join(lines)


class Run:
    """One run of chaos on a cluster of its own."""

    def __init__(self, cluster: Cluster, seed: int, seconds: float, receiver: WebhookReceiver) -> None:
        self._cluster = cluster
        self._receiver = receiver
        self._seed = seed
        self._seconds = seconds
        self._mischief = Mischief(cluster)
        self._exits: list[str] = []

    async def run(self) -> Outcome:
        """Break things, stop, and look."""
        load = Load(self._seed, self._urls(), OWNERS, self._receiver.url)
        load.start()
        batches = BatchLoad(self._seed, self._urls())
        batches.start()
        nurse = asyncio.create_task(self._restart_the_dead())
        await self._break_things()
        await load.stop(120)
        await batches.stop()
        nurse.cancel()
        self._cluster.mend()
        mended_at = time.monotonic()
        checker = Checker(self._cluster.store, PREFIX, self._cluster.results)
        problems = [*self._exits, *load.problems]
        try:
            await wait_until_async(lambda: self._quiet(checker, load.accepted), SETTLE_S)
        except AssertionError:
            problems.append(f"unsettled after {SETTLE_S:g} s: {checker.unsettled(load.accepted)[:20]}")
        settled_s = time.monotonic() - mended_at
        problems += checker.problems(
            load.accepted, self._cluster.events.all(), forgotten_at_ms=self._mischief.forgotten_at_ms
        )
        problems += await batches.problems(self._cluster.nodes["api-1"].url)
        problems += self._receiver.problems(checker.records())
        problems += self._threads()
        problems += self._crashes()
        problems += [f"the upload {path} is left" for path in self._cluster.uploads()]
        return Outcome(
            seed=self._seed,
            seconds=self._seconds,
            faults=self._mischief.done,
            answers=load.answers,
            statuses=checker.statuses(),
            accepted=len(set(load.accepted)),
            settled_s=settled_s,
            edits=checker.edits(),
            batches=len(batches.made),
            lines=sum(map(len, batches.made.values())),
            deliveries=len(self._receiver.taken),
            tries=len(self._receiver.received),
            problems=problems,
        )

    async def _quiet(self, checker: Checker, accepted: list[str]) -> bool:
        return not checker.unsettled(accepted) and not self._receiver.waiting()

    def _urls(self) -> list[str]:
        """Return where callers ask: one time in nine where deadlines are short."""
        urls = {name: node.url for name, node in self._cluster.nodes.items() if node.url}
        return [url for name, url in urls.items() if name != HASTY] * 4 + [urls[HASTY]]

    async def _break_things(self) -> None:
        began_at = time.monotonic()
        async with asyncio.TaskGroup() as deeds:
            for fault in plan(self._seed, self._seconds):
                await lasting(max(0.0, began_at + fault.at_s - time.monotonic()))
                deeds.create_task(self._mischief.commit(fault))
            await lasting(max(0.0, began_at + self._seconds - time.monotonic()))

    async def _restart_the_dead(self) -> None:
        """Do what a supervisor does; note the ends that nobody caused."""
        while True:
            for node in self._cluster.nodes.values():
                if node.name not in self._mischief.broken and not node.running:
                    if node.child.process.returncode not in EXPECTED_EXITS:
                        self._exits.append(f"{node.name} {node.child.end_in_words()} by itself")
                    node.start()
            await lasting(0.2)

    def _threads(self) -> list[str]:
        counts = {node.name: node.threads() for node in self._cluster.nodes.values()}
        return [f"{name} has {count} threads" for name, count in counts.items() if count > MOST_THREADS]

    def _crashes(self) -> list[str]:
        """What the API processes logged as bugs: they log an exception for nothing else."""
        found = []
        for node in self._cluster.nodes.values():
            lines = node.child.program.log.read_text(encoding="utf-8").splitlines() if node.url else []
            entries = [json.loads(line) for line in lines if line.startswith("{") and '"exception"' in line]
            found += [
                f"{node.name} logged {entry['event']}: {entry['exception'][-1500:]}" for entry in entries
            ]
        return found


def run(folder: Path, seed: int, seconds: float, workers: int) -> Outcome:
    """Start a cluster, run chaos on it and return what was found."""
    settings = {
        "WORKER__STALL_S": "12",
        "WORKER__DRAIN_S": "2",
        "JOBS__ABANDON_GRACE_S": "2",
        "BATCHES__WINDOW": "16",
        "BATCHES__LEASE_S": "3",
        "WEBHOOKS__ALLOW_PRIVATE_ADDRESSES": "true",
        "WEBHOOKS__LONGEST_PAUSE_S": "2",
    }
    with Cluster(folder, **settings) as cluster:
        cluster.add_api("api-1")
        cluster.add_api("api-2", proxied=True)
        cluster.add_api(HASTY, JOBS__DEADLINE_S="1.5", JOBS__MAX_QUEUED="4")
        for number in range(1, workers + 1):
            cluster.add_worker(
                f"w{number}",
                proxied=number > 1,
                capacity=1 + number % 2,
                clock_offset_s=HOUR_S if number == workers else 0.0,
            )
        for number in (1, 2):
            cluster.add_courier(f"courier-{number}", proxied=number == 2)
        cluster.wait_ready()
        with WebhookReceiver(cluster.store, cluster.keys, seed) as receiver:
            outcome = asyncio.run(Run(cluster, seed, seconds, receiver).run())
        if outcome.problems:
            sys.stderr.write(cluster.logs(40) + "\n")
        return outcome


def keep(outcome: Outcome, workers: int, file: Path = RUNS) -> None:
    """Note a run for docs/reliability.md."""
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({**vars(outcome), "workers": workers}) + "\n")


def main() -> int:
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="break the service at random and check what is left")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--folder", type=Path, default=None, help="keep logs and data here")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    sys.stdout.write(f"chaos: seed {seed}, {arguments.seconds:g} s, {arguments.workers} workers\n")
    sys.stdout.flush()
    if arguments.folder is not None:
        outcome = run(arguments.folder, seed, arguments.seconds, arguments.workers)
    else:
        with tempfile.TemporaryDirectory(prefix="darkroom-chaos-") as folder:
            outcome = run(Path(folder), seed, arguments.seconds, arguments.workers)
    sys.stdout.write(f"{outcome}\n")
    keep(outcome, arguments.workers)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
