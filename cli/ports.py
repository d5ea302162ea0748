"""TCP ports of this machine."""

import os
import socket
import sys
from collections import deque
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_LISTENING: Final = "0A"  # Source: linux/tcp_states.h
_PROC: Final = Path("/proc")
# More than a process ever needs at once; the oldest is let go.
_MOST_HELD: Final = 128
_held: Final[deque[int]] = deque()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on; nobody else is given it while this process lives.

    Before its server listens, and again while that is started anew, a port could be given to another program
    that asks for any, or to an outgoing connection: one to this very port, too, which then talks to itself. A
    socket that is bound and does not listen keeps it from them, and not from a server that is told to listen
    there: on Linux both may have the address while only one listens. Elsewhere nothing is held.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((LOOPBACK, 0))
    port: int = holder.getsockname()[1]
    _hold(holder)
    return port


def _hold(holder: socket.socket) -> None:
    if sys.platform != "linux":
        holder.close()
        return
    _held.append(holder.detach())
    if len(_held) > _MOST_HELD:
        os.close(_held.popleft())


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def reachable_host(host: str) -> str:
    """The host to write into an address: one that listens everywhere is reached on this machine."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}.get(host, host)  # noqa: S104 -- nothing is bound
    return f"[{host}]" if ":" in host else host


def holder(port: int) -> str | None:
    """The program that listens on a port, as in "nginx (process 12)"; None where that cannot be told.

    Only Linux tells, and of other users' programs only to root.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    for entry in _PROC.glob("[0-9]*") if sockets else ():
        try:
            if any(str(file.readlink()) in sockets for file in (entry / "fd").iterdir()):
                return f"{(entry / 'comm').read_text().strip()} (process {entry.name})"
        except OSError:
            continue  # it has ended, or is somebody else's
    return None


def _listening(port: int) -> set[str]:
    """The inodes of the sockets that listen on a port."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *rest = line.split()
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                inodes.add(rest[5])
    return inodes
