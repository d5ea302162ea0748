"""Ports of this machine: whose they are."""

import socket
import struct
import sys
from pathlib import Path

import pytest

from cli.ports import LOOPBACK, free_port, is_free

# Source: linux/in.h; Python has no name for it.
IP_LOCAL_PORT_RANGE = 51
OPEN = Path("/proc/self/fd")

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a port so")


def asking_for(port: int) -> socket.socket:
    """A socket to which the system may give this port, and no other, when it asks for any."""
    asking = socket.socket()
    try:
        asking.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=HH", port, port))
    except OSError:
        asking.close()
        pytest.skip("this Linux is older than 6.3: it cannot be made to choose a port")
    return asking


@on_linux
@pytest.mark.parametrize("reuse", [0, 1])
def test_a_free_port_is_given_to_nobody_who_asks_for_any(reuse: int) -> None:
    with asking_for(free_port()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)

        with pytest.raises(OSError, match="Address already in use"):
            other.bind((LOOPBACK, 0))


@on_linux
def test_a_free_port_is_no_connection_s_own_end_not_even_one_to_itself() -> None:
    port = free_port()

    with asking_for(port) as other, socket.create_server((LOOPBACK, 0)) as server:
        for address in (server.getsockname(), (LOOPBACK, port)):
            with pytest.raises(OSError, match="Cannot assign requested address"):
                other.connect(address)


def test_a_free_port_is_its_server_s_as_often_as_it_starts() -> None:
    port = free_port()

    for _ in range(2):
        assert is_free(LOOPBACK, port)
        with (
            socket.create_server((LOOPBACK, port)) as server,
            socket.create_connection((LOOPBACK, port)) as asking,
        ):
            asked, _ = server.accept()
            with asked:
                assert asked.getpeername() == asking.getsockname()
            assert not is_free(LOOPBACK, port)


@on_linux
def test_only_so_many_are_held() -> None:
    before = len(list(OPEN.iterdir()))

    for _ in range(300):
        free_port()

    assert len(list(OPEN.iterdir())) <= before + 128
