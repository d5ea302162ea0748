"""The least that passing a value on can cost: two plain sockets and one piece of memory, no HTTP, no loop.

    python -m benchmarks.traffic.copying PORT REDIS_PORT KEY

For each byte that comes on the one connection it takes, the value of the key goes back, read whole before it
is sent, as results are. Every service that reads from a store and sends to a client pays this at least.
"""

import socket
import sys

_LOOPBACK = "127.0.0.1"


def serve(port: int, redis_port: int, key: str) -> None:
    """Pass the value on until the client has gone."""
    store = socket.create_connection((_LOOPBACK, redis_port))
    store.sendall(b"STRLEN %b\r\n" % key.encode())
    length = int(store.recv(64)[1:-2])
    head = len(b"$%d\r\n" % length)
    memory = bytearray(head + length + 2)
    with socket.create_server((_LOOPBACK, port)) as listening:
        client, _ = listening.accept()
    while client.recv(1):
        store.sendall(b"GET %b\r\n" % key.encode())
        got = 0
        while got < len(memory):
            got += store.recv_into(memoryview(memory)[got:])
        client.sendall(memoryview(memory)[head:-2])


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
