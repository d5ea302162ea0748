"""A Docker daemon of this program's own, for a machine on which none runs.

It needs root and Debian's packages. Its images, networks and rules of the firewall go with it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cli.logs import tail
from cli.processes import Child, Program
from tests.containers.engine import Engine, answering, run
from tests.containers.report import Broken, CannotTry, until

_NEEDED: Final = ("docker", "dockerd", "containerd", "runc", "docker-init", "iptables", "debootstrap")
# The second brings Docker itself, as what it recommends.
_PACKAGES: Final = "debootstrap docker-compose iptables"
_FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")
_START_S: Final = 60.0
_STOP_S: Final = 60.0


def missing() -> list[str]:
    """Return the programs that a daemon of our own would need and that are not here."""
    return [name for name in _NEEDED if shutil.which(name) is None]


@contextmanager
def private_daemon() -> Iterator[Engine]:
    """Run a daemon in a folder of its own, from answering to gone.

    Raises:
        CannotTry: this machine has not what it takes.
        Broken: it does not come up.
    """
    if os.geteuid() != 0:
        message = "no Docker daemon answers, and only root can start one"
        raise CannotTry(message)
    if absent := missing():
        message = (
            f"no Docker daemon answers, and to start one {', '.join(absent)} must be there; "
            f"on Debian: apt install {_PACKAGES}"
        )
        raise CannotTry(message)
    folder = Path(tempfile.mkdtemp(prefix="darkroom-docker-"))
    forwarding = _FORWARDING.read_text()
    daemon = Child(Program("dockerd", _command(folder), folder / "dockerd.log", folder))
    try:
        daemon.start()
        yield _answering(daemon, folder)
    finally:
        daemon.stop(_STOP_S)
        _unmount(folder)
        shutil.rmtree(folder)
        _remove_rules()
        _FORWARDING.write_text(forwarding)


def _command(folder: Path) -> tuple[str, ...]:
    files = _open_files()
    return (
        "dockerd",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/socket",
        # Builds use this machine's network, and the stack brings networks of its own.
        "--bridge=none",
        f"--default-ulimit=nofile={files}:{files}",
    )


def _open_files() -> int:
    """Return how many files a process may have here; a container cannot be given more."""
    return int(subprocess.run(["sh", "-c", "ulimit -Hn"], capture_output=True, text=True, check=True).stdout)


def _answering(daemon: Child, folder: Path) -> Engine:
    environment = {"DOCKER_HOST": f"unix://{folder}/socket", "DOCKER_CONFIG": f"{folder}/config"}

    def ask() -> Engine | None:
        if not daemon.running:
            message = f"dockerd {daemon.end_in_words()}:\n{tail(daemon.program.log)}"
            raise Broken(message)
        return answering(environment, "a daemon of its own")

    return until(ask, _START_S, "dockerd's first answer")


def _unmount(folder: Path) -> None:
    """Take away what a daemon that had to be killed left mounted."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in sorted((each for each in mounted if each.startswith(f"{folder}/")), reverse=True):
        run(("umount", "--lazy", place), {}, 30)


def _remove_rules() -> None:
    for table in ("filter", "nat"):
        listed = run(("iptables-save", "--table", table), {}, 30).stdout
        for arguments in rules_to_remove(listed):
            run(("iptables", "--table", table, *arguments), {}, 30)


def rules_to_remove(listed: str) -> list[list[str]]:
    """Read what ``iptables-save`` prints of a table: the arguments that take Docker's rules out of it."""
    lines = listed.splitlines()
    chains = [line[1:].split()[0] for line in lines if line.startswith(":DOCKER")]
    if not chains:
        return []
    jumps = [line for line in lines if line.startswith("-A ") and _leads_to(line, chains)]
    return [
        *(["--delete", *line.split()[1:]] for line in jumps),
        *(["--flush", chain] for chain in chains),
        *(["--delete-chain", chain] for chain in chains),
        # Docker closes it when it starts, and leaves it closed.
        *([["--policy", "FORWARD", "ACCEPT"]] if any(":FORWARD DROP" in line for line in lines) else []),
    ]


def _leads_to(line: str, chains: list[str]) -> bool:
    words = line.split()
    return words[1] not in chains and words[-1] in chains and words[-2] == "-j"
