"""A server that is killed with -9, or whose database another process ran that has ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx
import pytest

from domain.store import embedded
from tests.api.client import PATIENCE_SECONDS, Client

KEY = "the-key-of-the-killed"


@asynccontextmanager
async def process(data_dir: Path, port: int = 0) -> AsyncIterator[tuple[Client, asyncio.subprocess.Process]]:
    """`python -m api serve` on a data directory, and a client of it. Killed with -9 at the end."""
    environment = os.environ | {
        "SHOAL_DATA_DIR": str(data_dir),
        "SHOAL_ADMIN_KEY": KEY,
        "SHOAL_PORT": str(port),
    }
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api", "serve", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert server.stderr is not None
    said: list[bytes] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_kill, server)
        with anyio.fail_after(PATIENCE_SECONDS * 2):
            while True:
                line = await server.stderr.readline()
                said.append(line)
                assert line, b"".join(said).decode()
                with suppress(json.JSONDecodeError):
                    if "url" in (event := json.loads(line)):
                        break
        rest = asyncio.create_task(server.stderr.read())
        async with Client(event["url"], KEY) as client:
            await ready(client)
            yield client, server
    await rest


async def _kill(server: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        server.send_signal(signal.SIGKILL)
    await server.wait()


async def ready(client: Client) -> None:
    """Return when the server answers that it is ready."""
    with anyio.fail_after(PATIENCE_SECONDS * 2):
        while True:
            with suppress(httpx.TransportError):
                if (await client.http.get(client.url.replace("/graphql", "/readyz"))).status_code == 200:
                    return
            await anyio.sleep(0.02)


@pytest.mark.soak
async def test_a_server_that_used_the_database_of_an_import_starts_its_own_when_the_import_is_done(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with AsyncExitStack() as stack:
        async with embedded.running(tmp_path) as first:
            assert first.owned
            client, server = await stack.enter_async_context(process(tmp_path, port))
            segment = await client.segment("No email", "email is empty")
            await client.contact("C1")
            assert await client.size(segment) == 1
        with anyio.fail_after(PATIENCE_SECONDS * 3):
            while True:
                # While it starts again: no connection, or an answer that is none of GraphQL's.
                with suppress(httpx.TransportError, json.JSONDecodeError):
                    answer = await client.ask("query ($id: ID!) { segment(id: $id) { size } }", id=segment)
                    if answer.get("data") and answer["data"]["segment"]:
                        break
                await anyio.sleep(0.05)
        assert answer["data"]["segment"]["size"] == 1
        assert server.returncode is None
