"""The stack under test: a compose project of its own, made of the tree's own files, and gone afterwards."""

import json
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cli.ports import LOOPBACK, free_port
from shared.settings import REPO_ROOT
from tests.containers.engine import Engine, run
from tests.containers.report import Broken, until

FILE: Final = "docker-compose.yml"
FLOWER_FILE: Final = "docker-compose.flower.yml"
ACL_FILE: Final = "docker-compose.acl.yml"
GPU_FILE: Final = "docker-compose.gpu.yml"
BUILD_S: Final = 3600.0
UP_S: Final = 300.0
HEALTHY_S: Final = 300.0


@dataclass(frozen=True)
class Container:
    """One container of the stack."""

    id: str
    service: str

    @property
    def host(self) -> str:
        """Its name to itself, which workers have in theirs."""
        return self.id[:12]


def built_services(files: Sequence[str]) -> list[str]:
    """Read compose files: the services whose images are built."""
    services = [yaml.safe_load((REPO_ROOT / file).read_text())["services"] for file in files]
    return [name for each in services for name, service in each.items() if "build" in service]


def with_index(services: Sequence[str], index: str) -> dict[str, Any]:
    """What a compose file adds, so that builds find an index on this machine's loopback."""
    build = {"network": "host", "args": {"PIP_EXTRA_INDEX_URL": index}}
    return {name: {"build": build} for name in services}


class Stack:
    """The compose project: its containers, and what is done to them."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.project = f"darkroom-test-{secrets.token_hex(3)}"
        self.port, self.flower_port = free_port(), free_port()
        self.password = secrets.token_urlsafe(16)
        self._folder = folder
        self._variables = {
            "DARKROOM_PORT": str(self.port),
            "DARKROOM_TAG": self.project,
            "DARKROOM_STORE_PASSWORD": secrets.token_urlsafe(16),
            "DARKROOM_RESULTS__URLS": "/var/lib/darkroom/results",
            # Only compose reads these: with users of the store the stack is not brought up.
            "DARKROOM_API_REDIS_URL": "redis://api:any@valkey:6379/0",
            "DARKROOM_COURIER_REDIS_URL": "redis://courier:any@valkey:6379/0",
            "DARKROOM_WORKER_REDIS_URL": "redis://worker:any@valkey:6379/0",
            "DARKROOM_METRICS_REDIS_URL": "redis://metrics:any@valkey:6379/0",
            "DARKROOM_FLOWER_PORT": str(self.flower_port),
            "DARKROOM_FLOWER_PASSWORD": self.password,
        }
        self._set_variables(self._variables)

    @property
    def url(self) -> str:
        """The service, through its published port."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def flower_url(self) -> str:
        """Flower, through its published port."""
        return f"http://{LOOPBACK}:{self.flower_port}"

    def compose(
        self, *arguments: str, files: Sequence[str] = (FILE,), timeout_s: float = 120, may_fail: bool = False
    ) -> str:
        """Run a command of compose on the tree's files; return all that it printed.

        Raises:
            Broken: it failed.
        """
        named = [word for file in files for word in ("--file", str(REPO_ROOT / file))]
        command = (
            *self.engine.compose,
            *("--project-name", self.project, "--project-directory", str(REPO_ROOT)),
            *("--env-file", str(self._env_file)),
            *named,
            *arguments,
        )
        done = run(command, self.engine.environment, timeout_s)
        if done.returncode and not may_fail:
            message = f"compose {' '.join(arguments)}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
            raise Broken(message)
        return done.stdout + done.stderr

    def refuses(self, *arguments: str, files: Sequence[str], without: str) -> str | None:
        """What compose says where it refuses to run without a variable; None where it does not refuse."""
        self._set_variables({name: value for name, value in self._variables.items() if name != without})
        try:
            self.compose(*arguments, files=files)
        except Broken as refusal:
            return str(refusal)
        finally:
            self._set_variables(self._variables)
        return None

    def build(self, index: str | None, files: Sequence[str]) -> None:
        """Build every image that the files build, with one more index for pip where there is one."""
        if index is not None:
            addition = self._folder / "index.yml"
            addition.write_text(yaml.safe_dump({"services": with_index(built_services(files), index)}))
            files = (*files, str(addition))
        self.compose("build", files=files, timeout_s=BUILD_S)

    def up(self, *arguments: str, files: Sequence[str] = (FILE,)) -> None:
        """Bring the stack up and wait until every container of it is healthy."""
        self.compose("up", "--detach", *arguments, files=files, timeout_s=UP_S)
        until(self.healthy, HEALTHY_S, "the health of every container")

    def containers(self, service: str | None = None, *, all_states: bool = False) -> list[Container]:
        """Return the running containers of a service, or of all; or those in any state."""
        filters = [f"label=com.docker.compose.project={self.project}"]
        if service is not None:
            filters.append(f"label=com.docker.compose.service={service}")
        shown = self.engine.docker(
            *("ps", "--no-trunc", "--format", '{{.ID}} {{.Label "com.docker.compose.service"}}'),
            *(["--all"] if all_states else []),
            *(word for each in filters for word in ("--filter", each)),
        )
        return [Container(*line.split()) for line in sorted(shown.splitlines())]

    def container(self, service: str) -> Container:
        """Return the only running container of a service."""
        (only,) = self.containers(service)
        return only

    def state(self, container: Container) -> Mapping[str, Any]:
        """What the engine says of a container's state."""
        state: Mapping[str, Any] = json.loads(
            self.engine.docker("inspect", "--format", "{{json .State}}", container.id)
        )
        return state

    def healthy(self) -> bool:
        """Whether every container runs and is healthy.

        Raises:
            Broken: one of them has ended or is given up as unhealthy.
        """
        states = [(each, self.state(each)) for each in self.containers(all_states=True)]
        for container, state in states:
            if state["Status"] == "exited" or state.get("Health", {}).get("Status") == "unhealthy":
                message = (
                    f"{container.service} is {state['Status']}, not healthy:\n{self.log(container)[-2000:]}"
                )
                raise Broken(message)
        return all(state.get("Health", {}).get("Status") == "healthy" for _, state in states)

    def networks(self, container: Container) -> dict[str, bool]:
        """The networks of a container, and whether the engine lets nothing out of them."""
        shown = self.engine.docker(
            "inspect",
            "--format",
            "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}",
            container.id,
        )
        asked = ("network", "inspect", "--format", "{{.Internal}}")
        return {name: self.engine.docker(*asked, name).strip() == "true" for name in shown.split()}

    def inside(self, container: Container, *command: str, user: str | None = None) -> str:
        """Run a command in a container; return what it printed, whether it failed or not."""
        as_user = ["--user", user] if user else []
        return self.engine.docker("exec", *as_user, container.id, *command, may_fail=True)

    def log(self, container: Container) -> str:
        """Everything that a container has said."""
        return self.engine.docker("logs", container.id, may_fail=True)

    def logs(self, service: str) -> dict[str, str]:
        """The logs of a service, by the host's name of each container."""
        return {each.host: self.log(each) for each in self.containers(service)}

    def events(self, since: float) -> str:
        """What the engine tells of the project's containers since an instant, one JSON object a line."""
        return self.engine.docker(
            *("events", "--since", f"{since:.0f}", "--until", f"{time.time() + 1:.0f}"),
            *("--filter", "type=container", "--format", "{{json .}}"),
            *("--filter", f"label=com.docker.compose.project={self.project}"),
        )

    def left(self) -> list[str]:
        """What of the project is still there: containers, volumes, networks."""
        label = f"label=com.docker.compose.project={self.project}"
        kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return [
            f"{kind[0]} {name}"
            for kind in kinds
            for name in self.engine.docker(*kind, "--quiet", "--filter", label).split()
        ]

    def down(self) -> None:
        """Remove containers, networks, volumes and the images that were built."""
        self.compose("down", "--volumes", "--remove-orphans", files=(FILE, FLOWER_FILE), timeout_s=UP_S)
        for image in self.images():
            self.engine.docker("rmi", "--force", image, timeout_s=UP_S, may_fail=True)

    def images(self) -> dict[str, int]:
        """The images that were built here, with their sizes in bytes."""
        shown = self.engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        mine = [image for image in shown if image.endswith(f":{self.project}")]
        size = ("image", "inspect", "--format", "{{.Size}}")
        return {image: int(self.engine.docker(*size, image)) for image in sorted(mine)}

    @property
    def _env_file(self) -> Path:
        return self._folder / "variables"

    def _set_variables(self, variables: Mapping[str, str]) -> None:
        self._env_file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


@contextmanager
def composed(engine: Engine) -> Iterator[Stack]:
    """Give a stack that is not up yet; take down whatever became of it."""
    with tempfile.TemporaryDirectory(prefix="darkroom-compose-") as folder:
        stack = Stack(engine, Path(folder))
        try:
            yield stack
        finally:
            stack.down()
