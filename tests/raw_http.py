"""HTTP byte for byte, on plain sockets."""

import json
import socket
import time
from contextlib import closing, suppress

from cli.ports import LOOPBACK

PATIENCE_S = 15.0


def connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=PATIENCE_S)


def say(port: int, *parts: bytes) -> bytes:
    """Send on a connection of its own; return all that comes until the other side closes it."""
    with closing(connect(port)) as connection:
        for part in parts:
            with suppress(ConnectionError):  # it was refused at an earlier part
                connection.sendall(part)
        return everything(connection)


def everything(connection: socket.socket) -> bytes:
    said = bytearray()
    try:
        while part := connection.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    return bytes(said)


def one_answer(connection: socket.socket) -> bytes:
    """The answer to a question about the process's health: its head and its body may come apart."""
    said = bytearray()
    while not said.endswith(b"}"):
        part = connection.recv(65536)
        assert part
        said += part
    return bytes(said)


def drip(connection: socket.socket, first: bytes, byte: bytes) -> tuple[bytes, float]:
    """Send a byte again and again until the other side cuts; return what it said, and when it began to."""
    connection.settimeout(0.2)
    connection.sendall(first)
    started = time.monotonic()
    said = None
    while said is None:
        assert time.monotonic() < started + 30, "the connection was never cut"
        try:
            said = connection.recv(65536)
        except TimeoutError:
            with suppress(ConnectionError):
                connection.sendall(byte)
        except ConnectionError:
            said = b""
    after_s = time.monotonic() - started
    connection.settimeout(PATIENCE_S)
    # The head of an answer and its body may come apart.
    return said + everything(connection), after_s


def assert_refused(said: bytes, status: int, code: str) -> None:
    """In the service's own shape, whoever refused it, and at the end of the connection."""
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} "), said[:200]
    error = json.loads(body)["error"]
    assert (error["code"], set(error)) == (code, {"message", "type", "param", "code"})
    names = {line.split(": ")[0] for line in lines[1:]}
    assert {"x-request-id", "x-content-type-options", "content-length"} <= names
    assert "connection: close" in lines
