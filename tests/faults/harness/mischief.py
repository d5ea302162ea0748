"""The faults that chaos chooses from: what each does to the service, and what undoes it.

A plan is made from a seed before anything starts, so the same seed breaks the same things at the same
moments. What a fault breaks is whole again when its length has passed.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any, Final

import redis

from shared.bell.ring import Doorbell
from shared.settings import RedisSettings
from tests.faults.harness.cluster import PREFIX, Cluster, Node
from tests.faults.harness.lasting import lasting

QUIET_S: Final = (0.5, 2.5)
SPURIOUS: Final = 300


@dataclass(frozen=True)
class Fault:
    """One thing that will go wrong: when, what, to whom (a number to choose by) and for how long."""

    at_s: float
    kind: str
    whom: float
    length_s: float


# Kind: (weight, shortest, longest in seconds). Longer than a lease is the rule for what freezes.
KINDS: Final[dict[str, tuple[int, float, float]]] = {
    "kill_worker": (6, 0.1, 3.0),
    "kill_every_worker": (1, 0.1, 3.0),
    "freeze_worker": (4, 5.5, 8.0),
    "terminate_worker": (3, 0.1, 2.0),
    "kill_valkey": (2, 0.2, 5.0),
    "freeze_valkey": (2, 1.0, 7.0),
    "reset": (3, 0.0, 0.0),
    "black_hole": (3, 2.0, 9.0),
    "strand": (2, 0.0, 0.0),
    "lose_rings": (2, 0.0, 0.0),
    "triple_rings": (2, 0.0, 0.0),
    "spurious_rings": (1, 0.0, 0.0),
    "flush_broker": (1, 0.0, 0.0),
    "lose_replies": (2, 2.0, 4.0),
    "kill_api": (2, 0.1, 2.0),
    "fill_valkey": (1, 0.5, 3.0),
    "delete_done": (1, 0.0, 0.0),
    "trim_done": (1, 0.0, 0.0),
}


def plan(seed: int, seconds: float) -> list[Fault]:
    """Return what will go wrong within so many seconds."""
    rng = random.Random(seed)
    faults, at_s = [], rng.uniform(*QUIET_S)
    while at_s < seconds:
        (kind,) = rng.choices(list(KINDS), [weight for weight, _, _ in KINDS.values()])
        _, shortest, longest = KINDS[kind]
        faults.append(Fault(at_s, kind, rng.random(), rng.uniform(shortest, longest)))
        at_s += rng.uniform(*QUIET_S)
    return faults


class Mischief:
    """Does the faults of a plan to a cluster. Of two that would meet in one process the later is dropped."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._broken: set[str] = set()
        self.done: dict[str, int] = {}
        self.forgotten_at_ms = 0
        """When announcements were last lost on purpose, by Valkey's clock."""

    async def commit(self, fault: Fault) -> None:
        """Do a fault, let it last and undo it."""
        deeds: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "kill_worker": self._kill_worker,
            "kill_every_worker": self._kill_every_worker,
            "freeze_worker": self._freeze_worker,
            "terminate_worker": self._terminate_worker,
            "kill_api": self._kill_api,
            "kill_valkey": self._kill_valkey,
            "freeze_valkey": self._freeze_valkey,
            "fill_valkey": self._fill_valkey,
            "reset": self._reset,
            "strand": self._strand,
            "black_hole": self._black_hole,
            "lose_rings": self._lose_rings,
            "triple_rings": self._triple_rings,
            "spurious_rings": self._spurious_rings,
            "flush_broker": self._flush_broker,
            "lose_replies": self._lose_replies,
            "delete_done": self._delete_done,
            "trim_done": self._trim_done,
        }
        victims = self._victims(fault)
        if victims & self._broken:
            return
        self._broken |= victims
        self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
        try:
            await deeds[fault.kind](fault)
        finally:
            self._broken -= victims

    @property
    def broken(self) -> set[str]:
        """The nodes with which something is done at the moment."""
        return set(self._broken)

    def _victims(self, fault: Fault) -> set[str]:
        if fault.kind == "kill_every_worker":
            return {node.name for node in self._workers()}
        return {self._victim(fault)}

    def _workers(self) -> list[Node]:
        return [node for node in self._cluster.nodes.values() if not node.url]

    def _victim(self, fault: Fault) -> str:
        if fault.kind.endswith("_worker"):
            return self._choose(fault, lambda node: not node.url).name
        if fault.kind == "kill_api":
            return self._choose(fault, lambda node: bool(node.url)).name
        if fault.kind in {"reset", "strand", "black_hole", "lose_replies"}:
            return self._choose(fault, lambda node: node.proxy is not None).name
        return "valkey"

    def _choose(self, fault: Fault, fits: Callable[[Node], bool]) -> Node:
        nodes = [node for node in self._cluster.nodes.values() if fits(node)]
        return nodes[int(fault.whom * len(nodes))]

    def _node(self, fault: Fault) -> Node:
        return self._cluster.nodes[self._victim(fault)]

    async def _kill_worker(self, fault: Fault) -> None:
        node = self._node(fault)
        node.kill()
        await lasting(fault.length_s)
        node.start()

    _kill_api = _kill_worker

    async def _kill_every_worker(self, fault: Fault) -> None:
        for node in self._workers():
            node.kill()
        await lasting(fault.length_s)
        for node in self._workers():
            node.start()

    async def _freeze_worker(self, fault: Fault) -> None:
        node = self._node(fault)
        node.send(SIGSTOP)
        await lasting(fault.length_s)
        node.send(SIGCONT)

    async def _terminate_worker(self, fault: Fault) -> None:
        node = self._node(fault)
        node.send(SIGTERM)
        await lasting(fault.length_s)
        node.send(SIGTERM)
        for _ in range(100):
            if not node.running:
                break
            await lasting(0.1)
        else:
            node.kill()
        node.start()

    async def _kill_valkey(self, fault: Fault) -> None:
        self._cluster.server.kill()
        await lasting(fault.length_s)
        self._cluster.server.start()

    async def _freeze_valkey(self, fault: Fault) -> None:
        process = self._cluster.server.process
        process.send_signal(SIGSTOP)
        await lasting(fault.length_s)
        process.send_signal(SIGCONT)

    async def _fill_valkey(self, fault: Fault) -> None:
        before: Any = self._cluster.store.config_get("maxmemory")
        self._cluster.store.config_set("maxmemory", 1)
        await lasting(fault.length_s)
        self._cluster.store.config_set("maxmemory", before["maxmemory"])

    async def _reset(self, fault: Fault) -> None:
        self._node(fault).wire.reset()

    async def _strand(self, fault: Fault) -> None:
        self._node(fault).wire.strand()

    async def _black_hole(self, fault: Fault) -> None:
        wire = self._node(fault).wire
        wire.black_hole()
        await lasting(fault.length_s)
        wire.heal()

    async def _lose_rings(self, _: Fault) -> None:
        bells = [self._cluster.keys.doorbell(model) for model in ("light", "@courier")]
        self._broker.delete(*bells, "unacked", "unacked_index")

    async def _triple_rings(self, _: Fault) -> None:
        bell = self._cluster.keys.doorbell("light")
        rings: Any = self._broker.lrange(bell, 0, -1)
        if rings:
            self._broker.lpush(bell, *rings, *rings)

    async def _spurious_rings(self, _: Fault) -> None:
        bell = Doorbell(RedisSettings(url=self._cluster.server.url, prefix=PREFIX))
        bell.ring("light", SPURIOUS)
        bell.close()

    async def _lose_replies(self, fault: Fault) -> None:
        wire = self._node(fault).wire
        wire.lose_replies(b"EVALSHA", 2)
        await lasting(fault.length_s)
        wire.heal()

    async def _delete_done(self, _: Fault) -> None:
        self._forget(lambda: self._cluster.store.delete(self._cluster.keys.done))

    async def _trim_done(self, _: Fault) -> None:
        self._forget(lambda: self._cluster.store.xtrim(self._cluster.keys.done, 1, approximate=False))

    def _forget(self, lose: Callable[[], object]) -> None:
        lose()
        seconds, micros = self._cluster.store.time()
        self.forgotten_at_ms = seconds * 1000 + micros // 1000 + 1

    async def _flush_broker(self, _: Fault) -> None:
        self._broker.flushdb()

    @property
    def _broker(self) -> redis.Redis:
        return self._cluster.broker
