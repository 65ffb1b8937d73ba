"""A wire between a client and a server that can be cut, mended, and frozen: a TCP proxy on a loopback port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Wire:
    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0

    async def mend(self) -> None:
        """Take connections (again)."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End every connection and take none."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.break_connections()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def break_connections(self) -> None:
        """End every connection; the next may come at once."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Let everybody believe that the wire is there, and carry nothing."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Carry again, first of all what was stuck."""
        self._flowing.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_server}
        for source, target in ((reader, to_server), (from_server, writer)):
            task = asyncio.create_task(self._carry(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await source.read(65536):
                await self._flowing.wait()
                target.write(part)
                await target.drain()
        target.transport.abort()
        self._writers.discard(target)


@asynccontextmanager
async def wire(host: str, port: int) -> AsyncIterator[Wire]:
    there = Wire(host, port)
    await there.mend()
    try:
        yield there
    finally:
        there.thaw()
        await there.cut()
