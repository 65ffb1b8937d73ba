"""The whole server killed with -9, while contacts are written and watched."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
from websockets.exceptions import ConnectionClosed

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


async def churn(client: Client, contacts: list[str], generator: random.Random) -> None:
    """Write until the server is gone."""
    with suppress(httpx.HTTPError):
        while True:
            await client.write(
                generator.choice(contacts),
                email=generator.choice([None, f"{generator.random()}@example.org"]),
            )


async def test_a_watcher_misses_nothing_and_sees_nothing_twice_where_the_server_and_its_database_are_killed(
    tmp_path: Path,
) -> None:
    generator = random.Random(7)
    seen: list[dict[str, Any]] = []
    async with process(tmp_path) as (client, server):
        contacts = list((await client.upsert({f"C{number}": {} for number in range(20)})).values())
        segment = await client.segment("No email", "email is empty")
        assert await client.size(segment) == 20
        with suppress(ConnectionClosed):
            async with client.watching(segment) as watcher:
                inside = (await watcher.event())["size"]
                writers = [asyncio.create_task(churn(client, contacts, generator)) for _ in range(3)]
                while True:
                    seen.append(await watcher.event())
                    if len(seen) == 15:
                        server.send_signal(signal.SIGKILL)
        await asyncio.gather(*writers)
    async with process(tmp_path) as (client, _):
        size = await client.size(segment)
        async with client.watching(segment, after=seen[-1]["cursor"]) as watcher:
            assert (await watcher.event())["kind"] == "FeedStarted"
            last = seen[-1]["size"]
            while last != size:
                event = await watcher.event()
                seen.append(event)
                last = event["size"]
        counted = await client.data(
            "query ($rule: RuleInput) { contacts(rule: $rule) { totalCount } }",
            rule={"expression": "email is empty"},
        )
        history = await client.data(
            "query ($id: ID!) { segment(id: $id) { changes(first: 200) { nodes { cursor size } } } }",
            id=segment,
        )
    assert size == counted["totalCount"]
    cursors = [event["cursor"] for event in seen]
    assert cursors == sorted(set(cursors))
    for event in seen:
        inside += 1 if event["kind"] == "ContactJoined" else -1
        assert event["size"] == inside
    told = [(event["cursor"], event["size"]) for event in reversed(seen)]
    logged = [(node["cursor"], node["size"]) for node in history["changes"]["nodes"]]
    assert told[: len(logged)] == logged[: len(told)]


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
        with anyio.fail_after(PATIENCE_SECONDS):
            while True:
                # While it starts again: no connection, or an answer that is none of GraphQL's.
                with suppress(httpx.TransportError, json.JSONDecodeError):
                    answer = await client.ask("query ($id: ID!) { segment(id: $id) { size } }", id=segment)
                    if answer.get("data") and answer["data"]["segment"]:
                        break
                await anyio.sleep(0.05)
        assert answer["data"]["segment"]["size"] == 1
        assert server.returncode is None
