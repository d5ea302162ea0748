"""A whole service of real processes, every part of which can be broken: Valkey, API processes, workers."""

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Final, Self

import httpx2
import redis

from cli.logs import tail
from cli.ports import free_port, is_free
from cli.processes import Child, Program, stop_together
from cli.valkey import EmbeddedServer
from shared.jobs.keys import Keys
from shared.settings import REPO_ROOT
from tests.faults.harness.events import EventLog
from tests.faults.harness.proxy import Network, Proxy
from tests.waiting import wait_until

CATALOGUE: Final = REPO_ROOT / "tests" / "faults" / "catalogue.toml"
FAULTY: Final = "tests.faults.programs.faulty_worker"
REAL: Final = "worker.main"
BOOT_S: Final = 60.0
PREFIX: Final = "faults:"


@dataclass
class Node:
    """One process of the service, and the proxy between it and Valkey, if it has one."""

    name: str
    child: Child
    proxy: Proxy | None
    url: str = ""
    models: tuple[str, ...] = ()
    tells: bool = False
    """Whether it is a courier."""

    @property
    def pid(self) -> int:
        """The process started last."""
        return self.child.process.pid

    @property
    def running(self) -> bool:
        """Whether it is alive."""
        return self.child.running

    @property
    def wire(self) -> Proxy:
        """The proxy between it and Valkey."""
        assert self.proxy is not None, f"{self.name} has no proxy"
        return self.proxy

    def send(self, signum: Signals) -> None:
        """Send a signal to the process."""
        self.child.send(signum)

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()

    def start(self) -> None:
        """Start it again."""
        self.child.start()

    def threads(self) -> int:
        """How many threads it has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


class Cluster:
    """The service. Nodes are started without waiting; ``wait_ready`` waits for all of them."""

    def __init__(self, folder: Path, *, catalogue: Path = CATALOGUE, **settings: str) -> None:
        self.folder = folder
        self.server = EmbeddedServer(folder / "valkey")
        self.network = Network()
        self.nodes: dict[str, Node] = {}
        self.keys = Keys(PREFIX)
        (folder / "events").mkdir(parents=True, exist_ok=True)
        self.results = folder / "results"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.events = EventLog(folder / "events")
        self._catalogue = catalogue
        self._settings = settings
        self._clients: dict[int, redis.Redis] = {}

    def __enter__(self) -> Self:
        self.network.__enter__()
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.send(Signals.SIGCONT)
            if node.proxy:
                node.proxy.heal()
        stop_together([node.child for node in self.nodes.values()], 10)
        for client in self._clients.values():
            client.close()
        self.server.close()
        self.network.__exit__()
        assert is_free("127.0.0.1", self.server.port)

    @property
    def store(self) -> redis.Redis:
        """A client of Valkey that nothing stands in the way of."""
        return self._database(0)

    @property
    def broker(self) -> redis.Redis:
        """The same for the database of Celery's lists."""
        return self._database(1)

    def add_api(self, name: str, *, proxied: bool = False, later: bool = False, **settings: str) -> Node:
        """Start an API process; ``settings`` are ``SECTION__NAME`` of the environment."""
        port = free_port()
        command = (sys.executable, "-m", "api")
        node = self._add(
            name,
            command,
            proxied=proxied,
            settings={"API__PORT": str(port), **settings},
            environment=_LATER if later else None,
        )
        node.url = f"http://127.0.0.1:{port}"
        return node

    def add_worker(
        self,
        name: str,
        *,
        models: tuple[str, ...] = ("light",),
        capacity: int = 1,
        proxied: bool = False,
        program: str = FAULTY,
        clock_offset_s: float = 0.0,
        later: bool = False,
        **settings: str,
    ) -> Node:
        """Start a worker; by default one of this version, with the light engine."""
        command = (sys.executable, "-m", "celery", "-A", program, "worker")
        enabled = "[" + ",".join(f'"{model}"' for model in models) + "]"
        node = self._add(
            name,
            command,
            proxied=proxied,
            settings={"MODELS__ENABLED": enabled, "WORKER__NAME": name, **settings},
            environment={
                "FAULTS_EVENTS": str(self.events.folder / f"{name}.jsonl"),
                "FAULTS_CAPACITY": str(capacity),
                **(_wrong_clock(clock_offset_s) if clock_offset_s else {}),
                **(_LATER if later else {}),
            },
        )
        node.models = models
        return node

    def add_courier(self, name: str, *, proxied: bool = False, **settings: str) -> Node:
        """Start a courier that may send to this machine, and does not wait for long."""
        quick = {
            "WEBHOOKS__ALLOW_PRIVATE_ADDRESSES": "true",
            "WEBHOOKS__TIMEOUT_S": "2",
            "WEBHOOKS__FIRST_PAUSE_S": "0.2",
            "WEBHOOKS__LOOK_S": "0.1",
            "BATCHES__LOOK_S": "0.1",
        }
        command = (sys.executable, "-m", "celery", "-A", "courier.main", "worker")
        return self._add(name, command, proxied=proxied, settings={**quick, **settings}, tells=True)

    def remove(self, *nodes: Node) -> None:
        """End processes for good, at once."""
        for node in nodes:
            node.kill()
            del self.nodes[node.name]

    @contextmanager
    def more(self, *nodes: Node) -> Iterator[None]:
        """Wait until added nodes are ready and end them afterwards."""
        try:
            self.wait_ready(*nodes)
            yield
        finally:
            self.remove(*nodes)

    def wait_ready(self, *nodes: Node) -> None:
        """Wait until these nodes (default: all) can serve."""
        for node in nodes or tuple(self.nodes.values()):
            ready = self._api_ready if node.url else self._courier_ready if node.tells else self._worker_ready
            wait_until(self._alive(node, ready), BOOT_S, f"{node.name} to be ready")

    def mend(self) -> None:
        """Bring every node back to how a test expects to find it."""
        self.server.start()
        for node in self.nodes.values():
            if node.proxy:
                node.proxy.heal()
            node.send(Signals.SIGCONT)
            if not node.running:
                node.start()
        self.wait_ready()

    def forget(self) -> None:
        """Delete every job and all that was learned; who serves what stays."""
        kept = re.compile(re.escape(PREFIX) + r"(serving:.*|models|worker:.*|reaped_at|order)")
        found = self.store.scan_iter(f"{PREFIX}*", count=1000)
        names = [name for name in found if not kept.match(name.decode())]
        if names:
            self.store.delete(*names)
        self.broker.flushdb()
        shutil.rmtree(self.results / "pictures", ignore_errors=True)
        self.events.forget()

    def uploads(self) -> list[Path]:
        """What lies there of pictures that are being sent."""
        return [path for path in self.temporary.glob("darkroom-uploads-*/*/*") if path.is_file()]

    def logs(self, lines: int = 15, width: int = 220) -> str:
        """The end of every log, for a failure's report."""
        shown = []
        for node in self.nodes.values():
            shown += [f"--- {node.name}", *tail(node.child.program.log, lines).splitlines()]
        return "\n".join(line[:width] for line in shown)

    def _database(self, number: int) -> redis.Redis:
        if number not in self._clients:
            self._clients[number] = redis.Redis(port=self.server.port, db=number, socket_timeout=5)
        return self._clients[number]

    def _add(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        proxied: bool,
        settings: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        tells: bool = False,
    ) -> Node:
        proxy = self.network.proxy(self.server.port) if proxied else None
        url = f"redis://127.0.0.1:{proxy.port if proxy else self.server.port}/0"
        values = {
            "REDIS__URL": url,
            "REDIS__PREFIX": PREFIX,
            "MODELS__CATALOGUE": str(self._catalogue),
            "RESULTS__URLS": str(self.results),
            **self._settings,
            **settings,
        }
        child = Child(
            Program(
                name,
                command,
                self.folder / f"{name}.log",
                REPO_ROOT,
                {
                    **{f"DARKROOM_{key}": value for key, value in values.items()},
                    "PYTHONUNBUFFERED": "1",
                    "TMPDIR": str(self.temporary),
                    **(environment or {}),
                },
            )
        )
        child.start()
        self.nodes[name] = Node(name, child, proxy, tells=tells)
        return self.nodes[name]

    def _alive(self, node: Node, ready: Callable[[Node], bool]) -> Callable[[], bool]:
        def check() -> bool:
            end = "" if node.running else f"{node.child.end_in_words()}\n{tail(node.child.program.log, 40)}"
            assert node.running, f"{node.name} {end}"
            return ready(node)

        return check

    def _api_ready(self, node: Node) -> bool:
        try:
            answer = httpx2.get(f"{node.url}/healthz", timeout=2, trust_env=False)
        except httpx2.TransportError:
            return False
        return answer.status_code == httpx2.codes.OK

    def _courier_ready(self, node: Node) -> bool:
        """Whether the process that runs now has said that it is there; it is named by its id."""
        named = [name.decode().split(":")[1] for name in self.store.zrange(self.keys.couriers, 0, -1)]
        return str(node.pid) in named

    def _worker_ready(self, node: Node) -> bool:
        """Whether the worker that runs now (not the one before it) has said that it is there."""
        seconds, micros = self.store.time()
        now_ms, age_ms = seconds * 1000 + micros // 1000, (time.monotonic() - node.child.started_at) * 1000
        seen = [self.store.zscore(self.keys.serving(model), node.name) for model in node.models]
        return all(at is not None and at > now_ms - min(age_ms, 2000) for at in seen)


_PROGRAMS: Final = REPO_ROOT / "tests" / "faults" / "programs"
_LATER: Final = {"PYTHONPATH": f"{_PROGRAMS / 'later_version'}:{REPO_ROOT}"}


def _wrong_clock(offset_s: float) -> dict[str, str]:
    return {
        "PYTHONPATH": str(_PROGRAMS / "wrong_clock"),
        "FAULTS_CLOCK_OFFSET_S": str(offset_s),
    }
