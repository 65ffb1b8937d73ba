"""A relay in front of a database: one address for one that is started again and again, and connections that can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Passes on what comes to `port` to the port `behind`. What is idle for longer than it may be is closed, as firewalls do."""

    def __init__(self, *, idle_seconds: float | None = None) -> None:
        self._connected: set[asyncio.Task[None]] = set()
        self._idle_seconds = idle_seconds
        self.port = 0
        self.behind = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield
            self.cut()

    def cut(self) -> None:
        for task in self._connected:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connected.add(task)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.behind)
            try:
                async with asyncio.timeout(self._idle_seconds) as idle, asyncio.TaskGroup() as both:
                    both.create_task(self._pass_on(reader, back, idle))
                    both.create_task(self._pass_on(there, writer, idle))
            finally:
                back.close()
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass
        finally:
            self._connected.discard(task)
            writer.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: asyncio.Timeout
    ) -> None:
        while data := await reader.read(65536):
            if self._idle_seconds is not None:
                idle.reschedule(asyncio.get_running_loop().time() + self._idle_seconds)
            writer.write(data)
            await writer.drain()
        raise ConnectionError
