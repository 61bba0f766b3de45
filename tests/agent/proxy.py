"""Bad links: proxies between agents that hold back, cut off, lose, double and reorder what passes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK = 65_536
_TURN_S = 0.005


class TcpProxy:
    """A link of HTTP. What is held back comes later, as after a partition; what is cut off does not."""

    def __init__(self, to: int) -> None:
        self._to, self.port = to, 0
        self.held = frozenset[str]()
        """Directions in which nothing passes: `there`, `back`."""
        self.delay_s = 0.0
        self._writers = set[asyncio.StreamWriter]()
        self._tasks = set[asyncio.Task[None]]()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._took, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _took(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        for name, source, sink in (("there", reader, far_writer), ("back", far_reader, writer)):
            task = asyncio.create_task(self._pass(name, source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, name: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while chunk := await source.read(_CHUNK):
                while name in self.held:
                    await asyncio.sleep(_TURN_S)
                await asyncio.sleep(self.delay_s)
                sink.write(chunk)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)

    def cut(self) -> None:
        """Reset every connection: what was on its way is lost, and nobody knows how much."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def end(self) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def tcp_links(ports: dict[str, int]) -> AsyncIterator[dict[tuple[str, str], TcpProxy]]:
    """A proxy from each agent to each other one."""
    links = {(a, b): TcpProxy(ports[b]) for a in ports for b in ports if a != b}
    servers = [await link.start() for link in links.values()]
    try:
        yield links
    finally:
        for server in servers:
            server.close()
        for link in links.values():
            await link.end()


class _Far(asyncio.DatagramProtocol):
    """The proxy's socket towards the target, for one sender."""

    def __init__(self, back) -> None:
        self._back = back

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._back(data)


class UdpProxy(asyncio.DatagramProtocol):
    """A link of datagrams."""

    def __init__(self, to: int, seed: int, loss: float, twice: float, late_s: float) -> None:
        self._to, self._drawn = to, random.Random(seed)
        self.loss, self.twice, self.late_s = loss, twice, late_s
        self.passed = self.lost = 0
        self.has_ended = False
        self._far = dict[object, asyncio.DatagramTransport]()
        self._waiting = set[object]()
        self.near: asyncio.DatagramTransport | None = None

    async def start(self) -> int:
        loop = asyncio.get_running_loop()
        made, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.near = made
        return made.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: object) -> None:
        if addr in self._far:
            self._send(self._far[addr].sendto, data, None)
        elif addr not in self._waiting:  # QUIC repeats what is lost meanwhile.
            self._waiting.add(addr)
            asyncio.get_running_loop().create_task(self._open(data, addr))

    async def _open(self, data: bytes, addr: object) -> None:
        loop = asyncio.get_running_loop()
        assert self.near is not None
        back = self.near.sendto
        self._far[addr], _ = await loop.create_datagram_endpoint(
            lambda: _Far(lambda told: self._send(back, told, addr)),
            remote_addr=("127.0.0.1", self._to),
        )
        self._send(self._far[addr].sendto, data, None)

    def _send(self, send, data: bytes, addr: object) -> None:
        drawn, loop = self._drawn, asyncio.get_running_loop()
        self.passed += 1
        if drawn.random() < self.loss:
            self.lost += 1
            return
        for _ in range(1 + (drawn.random() < self.twice)):
            loop.call_later(drawn.random() * self.late_s, self._out, send, data, addr)

    def _out(self, send, data: bytes, addr: object) -> None:
        if not self.has_ended:
            send(data, addr)

    def end(self) -> None:
        self.has_ended = True
        for transport in (self.near, *self._far.values()):
            if transport is not None:
                transport.abort()
