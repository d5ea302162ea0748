"""A TCP proxy that breaks connections on purpose.

All proxies of one ``Network`` share a thread. Faults: cut every connection; a black hole, in which bytes of
old and new connections wait and are delivered when it heals, as TCP's retransmissions would; stranded
connections, which stay silent for ever while new ones work; replies that are lost after their command was
done; and a black hole that begins with a certain command, which does not arrive.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

CHUNK = 65536


class Connection:
    """One client's connection and the one made for it."""

    def __init__(self, losses: "Losses", *, open_: bool) -> None:
        self.flowing = asyncio.Event()
        self.stranded = False
        self._losses = losses
        self._reply_is_lost = False
        self.writers: list[asyncio.StreamWriter] = []
        if open_:
            self.flowing.set()

    def abort(self) -> None:
        self.flowing.set()
        for writer in self.writers:
            writer.transport.abort()

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asking: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self.flowing.wait()
                if asking:
                    self._losses.stop_at(data)
                    await self.flowing.wait()
                    self._reply_is_lost |= self._losses.hit(data)
                elif self._reply_is_lost:
                    self.abort()
                    return
                writer.write(data)
                await writer.drain()
        await self.flowing.wait()
        writer.close()


@dataclass
class Losses:
    """Which commands' replies get lost, and how many of them."""

    needle: bytes = b""
    left: int = 0
    barrier: bytes = b""
    stop: Callable[[], None] = lambda: None

    def stop_at(self, data: bytes) -> None:
        """Let nothing flow from these bytes on, where they are the ones."""
        if self.barrier and self.barrier in data:
            self.barrier = b""
            self.stop()

    def hit(self, data: bytes) -> bool:
        """Whether the reply to these bytes is to be lost."""
        if not self.left or self.needle not in data:
            return False
        self.left -= 1
        return True


class Proxy:
    """Listens on ``port`` and passes on to ``target_port``, both of 127.0.0.1."""

    def __init__(self, network: "Network", target_port: int) -> None:
        self.port = 0
        self._network = network
        self._target_port = target_port
        self._open = True
        self._losses = Losses()
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        network.call(self._listen)

    def heal(self) -> None:
        """Let everything flow again."""
        self._network.do(self._heal)

    def reset(self) -> None:
        """Cut every connection; new ones work."""
        self._network.do(self._abort_all)

    def black_hole(self) -> None:
        """Deliver nothing, in either direction, until :meth:`heal`."""
        self._network.do(self._swallow)

    def black_hole_at(self, needle: bytes) -> None:
        """Do :meth:`black_hole` at the first command that contains ``needle``."""
        self._losses.stop, self._losses.barrier = self._swallow, needle

    @property
    def flowing(self) -> bool:
        """Whether anything is delivered."""
        return self._open

    def strand(self) -> None:
        """Deliver nothing on the connections there are, ever again; new ones work."""
        self._network.do(self._strand)

    def lose_replies(self, needle: bytes, times: int) -> None:
        """Let commands that contain ``needle`` be done, and cut their connection instead of the reply."""
        self._losses.needle, self._losses.left = needle, times

    @property
    def replies_to_lose(self) -> int:
        """How many replies are still to be lost."""
        return self._losses.left

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self._losses, open_=self._open)
        connection.writers.append(writer)
        self._connections.add(connection)
        try:
            await connection.flowing.wait()
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            connection.writers.append(server_writer)
            await asyncio.gather(
                connection.carry(reader, server_writer, asking=True),
                connection.carry(server_reader, writer, asking=False),
            )
        except (OSError, asyncio.CancelledError):
            # Only the end of the network cancels; Python 3.11 would complain of a cancelled handler.
            connection.abort()
        finally:
            self._connections.discard(connection)
            for each in connection.writers:
                each.close()

    def _heal(self) -> None:
        self._open = True
        self._losses.left, self._losses.barrier = 0, b""
        for connection in self._connections:
            if not connection.stranded:
                connection.flowing.set()

    def _swallow(self) -> None:
        self._open = False
        for connection in self._connections:
            connection.flowing.clear()

    def _strand(self) -> None:
        for connection in self._connections:
            connection.stranded = True
            connection.flowing.clear()

    def _abort_all(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._abort_all()


class Network:
    """The thread on which proxies run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._proxies: list[Proxy] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._proxies:
            self.call(proxy.close)
        self.call(self._end_tasks)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def proxy(self, target_port: int) -> Proxy:
        """Start a proxy."""
        made = Proxy(self, target_port)
        self._proxies.append(made)
        return made

    def call(self, make: Callable[[], "asyncio.Future[None]"]) -> None:
        """Run a coroutine on the thread and wait for it."""
        asyncio.run_coroutine_threadsafe(make(), self._loop).result(timeout=10)

    def do(self, action: Callable[[], None]) -> None:
        """Run a function on the thread and wait for it."""

        async def run() -> None:
            action()

        self.call(run)

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
