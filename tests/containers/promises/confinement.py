"""What a container may do: asked from the inside, and of its networks from the engine."""

from typing import Final

from tests.containers.readings import confinement
from tests.containers.report import Report, require
from tests.containers.stack import Container, Stack

_USERS: Final = {
    "valkey": 999,
    "api": 10001,
    "courier": 10001,
    "worker": 10001,
    "flower": 10001,
    "proxy": 101,
}
_WITHOUT_A_WAY_OUT: Final = ("valkey", "worker")
_FILE: Final = "/usr/darkroom-was-here"
_ROOT: Final = "0:0"


def containers_are_confined(stack: Stack, report: Report) -> None:
    """Look into one container of each service."""
    report.begins("containers, from the inside")
    seen = {container.service: container for container in stack.containers()}
    for container in seen.values():
        is_confined(stack, container, report)


def is_confined(stack: Stack, container: Container, report: Report) -> None:
    """Check user, capabilities, file system and network of a container."""
    service = container.service
    held = confinement(stack.inside(container, "cat", "/proc/1/status"))
    require(held.uid == _USERS[service], f"{service} runs as uid {held.uid}")
    require(held.capabilities == 0, f"{service} has the capabilities {held.capabilities:x}")
    require(held.no_new_privileges, f"{service} can gain privileges")
    _cannot_write(stack, container)
    outside = [name for name, internal in stack.networks(container).items() if not internal]
    require(bool(outside) == (service not in _WITHOUT_A_WAY_OUT), f"{service} has a way out by {outside}")
    report.ok(
        f"{service}: uid {held.uid}, gid {held.gid}, no capabilities, no new ones, read-only even to root, "
        f"{'a way out' if outside else 'no way out of its network'}"
    )


def _cannot_write(stack: Stack, container: Container) -> None:
    """Try to write as root: what stops even root is the mount, and not the owner of a folder."""
    for user in (None, _ROOT):
        said = stack.inside(container, "sh", "-c", f"echo x > {_FILE}", user=user)
        require("Read-only file system" in said, f"{container.service} can write as {user}: {said!r}")
    said = stack.inside(container, "sh", "-c", "echo x > /tmp/x && cat /tmp/x")
    require(said.strip() == "x", f"{container.service} cannot write to /tmp: {said!r}")
