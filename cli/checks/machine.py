"""Python, disk, memory, open files and the port."""

import resource
import shutil
import sys
from pathlib import Path
from typing import Final

from cli.amounts import in_bytes
from cli.checks.finding import Finding, Verdict
from cli.client import Client, Connection
from cli.ports import holder, is_free, reachable_host
from cli.servers import version_text

OLDEST_PYTHON: Final = (3, 11)
LEAST_DISK_BYTES: Final = 256 * 1024**2
GOOD_DISK_BYTES: Final = 2 * 1024**3
GOOD_MEMORY_BYTES: Final = 2 * 1024**3
OTHER_FILES: Final = 200  # libraries, logs, connections to the store and the broker


def check_python() -> Finding:
    """Look at the version of Python."""
    version = version_text(sys.version_info[:3])
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", Verdict.MISSING, version, "install Python 3.11 or newer, then: make setup")
    return Finding("Python", Verdict.OK, f"{version} ({sys.executable})")


def check_disk(folder: Path) -> Finding:
    """Look at the room for jobs and logs."""
    free = shutil.disk_usage(folder).free
    detail = f"{in_bytes(free)} free in {folder}"
    if free < LEAST_DISK_BYTES:
        return Finding("disk", Verdict.MISSING, detail, "make room: jobs and their pictures are kept on disk")
    if free < GOOD_DISK_BYTES:
        return Finding("disk", Verdict.NOTE, detail, "a busy service needs more")
    return Finding("disk", Verdict.OK, detail)


def check_memory(root: Path = Path("/")) -> Finding:
    """Look at the memory that a worker could get, of the machine or of its container."""
    free = min(_available_bytes(root), _left_in_cgroup_bytes(root))
    detail = f"{in_bytes(free)} free"
    if free < GOOD_MEMORY_BYTES:
        mend = (
            "a worker may be ended by the kernel while it loads its model: close programs, or allow it more"
        )
        return Finding("memory", Verdict.NOTE, detail, mend)
    return Finding("memory", Verdict.OK, detail)


def _available_bytes(root: Path) -> float:
    try:
        lines = (root / "proc" / "meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else float("inf")


def _left_in_cgroup_bytes(root: Path) -> float:
    """What a container may still take; no bound where it has none (version 2, seen from inside)."""
    group = root / "sys" / "fs" / "cgroup"
    try:
        limit, taken = ((group / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return int(limit) - int(taken)
    except (OSError, ValueError):
        return float("inf")


def check_open_files(connections: int) -> Finding:
    """Look how many calls an API process could hold: each takes a socket, up to the hard limit.

    Args:
        connections: How many it shall hold at most.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = connections if hard == resource.RLIM_INFINITY else max(0, hard - OTHER_FILES)
    if possible >= connections:
        return Finding("open files", Verdict.OK, f"{connections} calls can be held")
    verdict = Verdict.MISSING if possible == 0 else Verdict.NOTE
    detail = f"{hard} a process: {possible} calls can be held, DARKROOM_API__MAX_CONNECTIONS is {connections}"
    mend = (
        f"raise the hard limit to {connections + OTHER_FILES}: ulimit -Hn, LimitNOFILE, or ulimits in compose"
    )
    return Finding("open files", verdict, detail, mend)


def check_port(host: str, port: int) -> Finding:
    """Look whether the API could listen."""
    place = f"{host}:{port}"
    if is_free(host, port):
        return Finding("port", Verdict.OK, f"{place} is free")
    with Client(Connection(f"http://{reachable_host(host)}:{port}")) as client:
        if client.alive():
            return Finding("port", Verdict.NOTE, f"a Darkroom already runs on {place}")
    by = holder(port)
    taken = f"{place} is taken by {by}" if by else f"{place} is taken"
    return Finding("port", Verdict.MISSING, taken, f"choose another one: darkroom up --port {port + 1}")
