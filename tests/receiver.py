"""A receiver of webhooks, as simple as can be: it checks signatures, counts identifiers, and answers as it is told to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""Base 64 of 24 bytes."""


class Receiver:
    """`answer` says the status of each request, and may add lines to the head of the answer."""

    def __init__(self, answer: Callable[[int], str]) -> None:
        self._answer = answer
        self.port = 0
        self.requests = 0
        self.heads: list[str] = []
        self.messages: dict[str, dict[str, Any]] = {}
        """The content of each message by its identifier; of one that comes twice, which must be the same."""
        self.taken: Counter[str] = Counter()
        """How often each was taken."""
        self.came = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/messages?to=me"

    def data(self) -> list[dict[str, Any]]:
        return [message["data"] for message in self.messages.values()]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._take(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            # Whoever sent it is gone.
            pass
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        # Signatures are told apart by their letters' case.
        exact = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        message = Webhook(SECRET).verify(body, exact)
        self.requests += 1
        self.heads.append(head)
        identifier = headers["webhook-id"]
        assert self.messages.setdefault(identifier, message) == message
        status = self._answer(self.requests)
        if status.startswith("2"):
            self.taken[identifier] += 1
        self.came.set()
        if status:
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
        else:
            await reader.read()


@asynccontextmanager
async def receiving(answer: Callable[[int], str] = lambda _: "204 No Content") -> AsyncIterator[Receiver]:
    """On a loopback port. An empty answer is none: the connection stays, and nothing comes."""
    receiver = Receiver(answer)
    server = await asyncio.start_server(receiver.connected, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
