"""The container engine: its command line, the compose that goes with it, and whether it answers."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.containers.report import Broken, CannotTry


@dataclass(frozen=True)
class Engine:
    """A Docker daemon that answers, and the compose that talks to it."""

    name: str
    compose: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def docker(self, *arguments: str, timeout_s: float = 60, may_fail: bool = False) -> str:
        """Run a command of ``docker``; return what it printed, both streams where it may fail.

        Raises:
            Broken: it failed.
        """
        done = run(("docker", *arguments), self.environment, timeout_s)
        if done.returncode and not may_fail:
            message = f"docker {' '.join(arguments)}: {done.stderr.strip()[-800:]}"
            raise Broken(message)
        return done.stdout + done.stderr if may_fail else done.stdout


def run(
    command: tuple[str, ...], environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a command without any setting of Darkroom's that this shell happens to have.

    Raises:
        Broken: it did not end in time.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}
    try:
        return subprocess.run(
            command,
            env={**own, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(command)} did not end within {timeout_s:.0f} s"
        raise Broken(message) from error


def compose_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return how compose is called here: the plugin, or the program of its own that it was before.

    Raises:
        CannotTry: there is neither.
    """
    if shutil.which("docker") and not run(("docker", "compose", "version"), environment, 30).returncode:
        return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    message = "there is no docker compose; on Debian: apt install docker-compose"
    raise CannotTry(message)


def answering(environment: Mapping[str, str], words: str) -> Engine | None:
    """Return the engine that these variables lead to, if one answers."""
    if shutil.which("docker") is None:
        return None
    asked = run(("docker", "info", "--format", "{{.ServerVersion}}"), environment, 30)
    if asked.returncode or not asked.stdout.strip():
        return None
    compose = compose_command(environment)
    version = run((*compose, "version", "--short"), environment, 30).stdout.strip()
    name = f"Docker {asked.stdout.strip()} ({words}), {' '.join(compose)} {version}"
    return Engine(name, compose, environment)
