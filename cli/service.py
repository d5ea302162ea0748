"""The whole service on this machine: embedded Valkey, one API process, some workers.

It knows the command lines of the parts and how to tell that they are ready; it imports none of them.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydantic import SecretStr

from cli.client import Client, ServiceRefused, ServiceUnreachable
from cli.logs import start_afresh, tail
from cli.owner_salt import VARIABLE
from cli.placing import Placed
from cli.ports import reachable_host
from cli.processes import Child, Program
from cli.run_folder import RunFolder
from cli.servers import OLDEST_VERSION, address_of, running_version, version_text
from cli.signals import never
from cli.supervisor import STOP_GRACE_S, Say, Supervisor
from cli.valkey import EmbeddedServer
from shared.addresses import wrong_with_redis
from shared.errors import ConfigurationError
from shared.settings import REPO_ROOT, RedisSettings, Settings, WorkerSettings

READY_TIMEOUT_S: Final = 180.0
_TUNING_S: Final = {"off": 0.0, "quick": 60.0, "full": 600.0}
"""What a first start may take longer for, where a worker finds out how its model runs fastest."""
MOST_DRAIN_S: Final = STOP_GRACE_S / 2  # a worker must have handed its jobs back before it is killed
_PROBE_S: Final = 0.05
# torch's threads spin while they wait for each other. Where anything else wants the CPU (a second worker, a
# browser) that is ruinous: on two busy cores a picture took 22 to 49 s with spinning, 6 to 10 s without.
_OMP_WAIT_POLICY: Final = "PASSIVE"
_API: Final = (sys.executable, "-m", "api")
_WORKER: Final = (sys.executable, "-m", "celery", "-A", "worker.main", "worker")
_COURIER: Final = (sys.executable, "-m", "celery", "-A", "courier.main", "worker")


class StartFailed(ConfigurationError):
    """The service did not start."""


@dataclass(frozen=True)
class Layout:
    """Which parts there are, and where.

    Attributes:
        workers: The worker processes.
        api_processes: How many processes serve HTTP.
        redis: The server to use; None starts an embedded one.
        drain_s: How long a worker that stops may go on with its jobs; shortened to fit the time it has.
    """

    folder: RunFolder
    host: str
    port: int
    workers: tuple[Placed, ...] = (Placed(),)
    api_processes: int = 1
    redis: RedisSettings | None = None
    drain_s: float = MOST_DRAIN_S

    @property
    def address(self) -> str:
        """Where the HTTP service is."""
        return f"http://{reachable_host(self.host)}:{self.port}"


class LocalService:
    """Starts the parts of the service, keeps them running and stops them.

    Args:
        layout: What to start.
        say: See `Supervisor`.
    """

    def __init__(self, layout: Layout, say: Say) -> None:
        self.layout = layout
        self.children: list[Child] = []
        self._supervisor = Supervisor(say)
        self._redis = layout.redis or RedisSettings()

    def start_store(self) -> str:
        """Start the embedded server, or look whether the given one will do; return its name for people.

        Raises:
            ConfigurationError: There is none, or it is too old.
            StoreUnavailable: The given one does not answer.
        """
        if self.layout.redis is not None:
            return _given_server(self.layout.redis)
        server = EmbeddedServer(self.layout.folder.data)
        start_afresh(server.log)
        server.start()
        self.layout.folder.note_store(server.url)
        self._redis = RedisSettings(url=SecretStr(server.url))
        self._watch(server.child)
        return f"{server.binary.path.name} {version_text(server.binary.version)}, embedded"

    @property
    def store_url(self) -> SecretStr:
        """Where the store is, once it was started."""
        return self._redis.url

    def start_processes(self, salt: SecretStr | None = None) -> None:
        """Start the API, the workers and a courier; they are not ready yet.

        Args:
            salt: of the API and the courier; default: the one in their environment.
        """
        salted = {} if salt is None else {VARIABLE: salt.get_secret_value()}
        workers = [self._program(each.name, _WORKER, each.environment) for each in self.layout.workers]
        courier = self._program("courier", _COURIER, salted)
        programs = [self._program("api", _API, salted), *workers, courier]
        for program in programs:
            start_afresh(program.log)
        self._watch(*map(Child, programs))

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the service is as it should be.

        Raises:
            StartFailed: A part ended, or it took too long; the message has the ends of the logs.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            dead = self._supervisor.dead()
            if dead is not None:
                raise StartFailed(_ended(dead))
            if time.monotonic() > deadline:
                raise StartFailed(self._too_slow(what, timeout_s))
            time.sleep(_PROBE_S)

    def watch(self) -> None:
        """Start again what has died; to be called again and again."""
        self._supervisor.watch()

    def stop(self, hurry: Callable[[], bool] = never) -> None:
        """Stop the API and the workers, then the embedded server."""
        self._supervisor.stop(hurry)

    def _watch(self, *children: Child) -> None:
        self.children += children
        self._supervisor.start(*children)

    def _program(
        self, name: str, command: tuple[str, ...], more: Mapping[str, str] = MappingProxyType({})
    ) -> Program:
        environment = {
            **more,
            "DARKROOM_REDIS__URL": self._redis.url.get_secret_value(),
            "DARKROOM_REDIS__BROKER_URL": self._redis.broker(),
            "DARKROOM_API__HOST": self.layout.host,
            "DARKROOM_API__PORT": str(self.layout.port),
            "DARKROOM_API__PROCESSES": str(self.layout.api_processes),
            "DARKROOM_WORKER__DRAIN_S": str(min(self.layout.drain_s, MOST_DRAIN_S)),
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", _OMP_WAIT_POLICY),
            "PYTHONUNBUFFERED": "1",
        }
        return Program(name, command, self.layout.folder.log(name), REPO_ROOT, environment)

    def _too_slow(self, what: str, timeout_s: float) -> str:
        ends = "\n".join(f"{child.program.log} ends:\n{tail(child.program.log)}" for child in self.children)
        return f"{what} after {timeout_s:g} s\n{ends}"


def workers_ready_s(settings: WorkerSettings) -> float:
    """Return how long workers may take until the first of them is ready."""
    return READY_TIMEOUT_S + _TUNING_S[settings.tuning]


def chosen_redis(settings: Settings, url: str | None = None) -> RedisSettings | None:
    """Return the server to use; None for an embedded one.

    Raises:
        ConfigurationError: The address is none, or cannot be read in one way only.
    """
    if url is not None:
        wrong = wrong_with_redis(url)
        if wrong:
            msg = f"--redis-url: {wrong}"
            raise ConfigurationError(msg)
        return settings.redis.model_copy(update={"url": SecretStr(url)})
    return settings.redis if "url" in settings.redis.model_fields_set else None


def answering(client: Client) -> Callable[[], bool]:
    """Return the condition that the API process answers."""
    return client.alive


def ready(client: Client) -> Callable[[], bool]:
    """Return the condition that the service can serve, workers and all."""

    def condition() -> bool:
        try:
            return client.readiness()[0]
        except (ServiceRefused, ServiceUnreachable):
            return False

    return condition


def _given_server(redis: RedisSettings) -> str:
    version = running_version(redis)
    name = f"{address_of(redis)} (version {version_text(version)})"
    if version < OLDEST_VERSION:
        msg = f"{name} is too old: Redis or Valkey {version_text(OLDEST_VERSION)} or newer is needed"
        raise ConfigurationError(msg)
    return name


def _ended(child: Child) -> str:
    name, log = child.program.name, child.program.log
    return f"{name} {child.end_in_words()} while the service was starting; {log} ends:\n{tail(log)}"
