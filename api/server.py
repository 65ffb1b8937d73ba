"""The server: uvicorn, with endings of our own.

Owns how serving ends. On the first signal: no new connections; websockets are closed with 1001; requests in flight are finished, at
most `SHOAL_SHUTDOWN_SECONDS` long; then everything behind is stopped in its order (`api.app`). On a second signal nothing is
waited for. uvicorn by itself says 1012 (“restart”) and raises the signal again at the end of `serve`, before anything outside
could end in order; both are replaced here. Held by `tests/api/test_serving.py`.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from api.app import Shoal, build_app, running
from api.identity import Callers
from api.limits import MAX_BODY_BYTES
from api.settings import Settings, variable
from api.sockets import Sockets
from domain.errors import StartupError

PING_SECONDS = 20.0
"""Between two pings on a websocket; one that is not answered in the same time ends it."""
KEEP_ALIVE_SECONDS = 75
"""For which a connection without a request stays open: longer than proxies do, so that they are the ones to close."""


class Server(uvicorn.Server):
    """Serves until `stop`."""

    def __init__(self, app: ASGIApp, sockets: Sockets, *, shutdown_seconds: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                ws="websockets-sansio",
                ws_max_size=MAX_BODY_BYTES,
                # Events are small: compressing each costs more time and memory for each socket than it saves.
                ws_per_message_deflate=False,
                ws_ping_interval=PING_SECONDS,
                ws_ping_timeout=PING_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=math.ceil(shutdown_seconds),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
            )
        )
        self._sockets = sockets

    def stop(self) -> None:
        """End in order; called again, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: signals are for whoever runs the server, who calls `stop`."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._sockets.close()
        await super().shutdown(sockets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server that answers."""

    shoal: Shoal
    server: Server
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/graphql"

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)


@asynccontextmanager
async def serving(settings: Settings, callers: Callers) -> AsyncIterator[Serving]:
    """A server on the settings' host and port, until the block is left. It answers `/readyz` truly before it is ready."""
    with _listener(settings.host, settings.port) as listener:
        async with running(settings, callers) as shoal:
            app = build_app(shoal, settings)
            server = Server(app, shoal.sockets, shutdown_seconds=settings.shutdown_seconds)
            task = asyncio.create_task(server.serve([listener]), name="server")
            host, port = listener.getsockname()[:2]
            try:
                yield Serving(shoal=shoal, server=server, host=host, port=port)
            finally:
                server.should_exit = True
                await task


@contextmanager
def _listener(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens. Raises `StartupError` where the address is taken, or is none of this machine's."""
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise StartupError(
            f"{variable('host')}, {variable('port')}: {host}:{port} cannot be listened on: {error.strerror}."
        ) from error
    with listener:
        yield listener
