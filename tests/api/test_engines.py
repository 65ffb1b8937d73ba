"""Several processes on one database: which of them runs the engine, and what the others can do."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from api.hearing import Silence
from tests.api.client import Client, until
from tests.api.conftest import KEY
from tests.api.test_serving import PROCESS_SECONDS, Server, process, ready, status

Database = AsyncDatabase[dict[str, Any]]


def terms(server: Server) -> list[int]:
    """The terms for which a process ran the engine, or runs it."""
    return [entry["term"] for entry in server.logged if entry["event"] == "lease.taken"]


def said(server: Server, event: str) -> list[dict[str, Any]]:
    return [entry for entry in server.logged if entry["event"] == event]


async def heard(server: Server, event: str, count: int = 1) -> None:
    await until(lambda: len(said(server, event)) >= count, seconds=PROCESS_SECONDS)


@pytest.mark.soak
async def test_a_process_that_cannot_hear_the_engine_says_so_and_takes_over_where_the_other_ends(
    environment: dict[str, str],
) -> None:
    async with process(environment) as first, Client(first.url, KEY) as client:
        await ready(first.url)
        segment = await client.segment("No email", "email is empty")
        assert await client.size(segment) == 0
        async with process(environment) as second, Client(second.url, KEY) as other:
            assert await status(second.url, "readyz") == 503
            await other.contact("A")
            assert await other.data("{ contacts { totalCount } }") == {"totalCount": 1}
            assert (
                await other.code("query ($id: ID!) { segment(id: $id) { size } }", id=segment)
                == "UNAVAILABLE"
            )
            await heard(second, "engine.unheard")
            assert [entry["message"] for entry in said(second, "engine.unheard")] == [Silence.IN_MEMORY.value]
            assert (len(terms(first)), terms(second)) == (1, [])
            assert await first.end() == 0
            await heard(second, "lease.taken")
            assert said(second, "lease.taken")[0]["because"] == "given up"
            assert terms(second) > terms(first)
            await ready(second.url)
            assert await other.size(segment) == 1


async def test_a_process_that_was_stopped_and_goes_on_has_lost_the_engine_and_may_lead_again(
    environment: dict[str, str], database: Database
) -> None:
    async with process(environment) as first, Client(first.url, KEY) as client:
        await ready(first.url)
        segment = await client.segment("No email", "email is empty")
        contacts = await client.upsert({f"C{number}": {} for number in range(5)})
        assert await client.size(segment) == 5
        async with process(environment) as second, Client(second.url, KEY) as other:
            await heard(second, "lease.held_by_another")
            first.process.send_signal(signal.SIGSTOP)
            await other.write(contacts["C0"], email="a@example.org")
            await heard(second, "lease.taken")
            await ready(second.url)
            assert await other.size(segment) == 4
            first.process.send_signal(signal.SIGCONT)
            await heard(first, "lease.lost")
            await other.write(contacts["C1"], email="b@example.org")
            assert await other.size(segment) == 3
            stored = await database["checkpoints"].find_one({})
            assert stored is not None
            assert [stored["term"]] == terms(second)
            second.process.kill()
            await client.write(contacts["C2"], email="c@example.org")
            await heard(first, "lease.taken", 2)
            assert await _size(client, segment) == 2
            changes = "query ($id: ID!) { segment(id: $id) { changes(first: 20) { nodes { size } } } }"
            nodes = (await client.data(changes, id=segment))["changes"]["nodes"]
            assert [node["size"] for node in nodes] == [2, 3, 4, 5, 4, 3, 2, 1]
        assert terms(first)[0] < terms(second)[0] < terms(first)[1]


async def _size(client: Client, segment: str) -> int:
    """The size, once the process hears the engine."""
    await ready(client.url)
    return await client.size(segment)


async def logged(database: Database, kind: str) -> None:
    """Return when the log has an entry of this kind, which another process writes."""
    async with asyncio.timeout(PROCESS_SECONDS):
        while await database["changes"].count_documents({"kind": kind}) != 1:  # noqa: ASYNC110 # it tells nobody
            await asyncio.sleep(0.02)


async def test_one_process_runs_the_engine_only_and_another_only_serves(
    environment: dict[str, str], database: Database
) -> None:
    without_key = {name: value for name, value in environment.items() if name != "SHOAL_ADMIN_KEY"}
    async with process({**environment, "SHOAL_ENGINE": "off"}) as serves, Client(serves.url, KEY) as client:
        await client.segment("No email", "email is empty")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            only = {**without_key, "SHOAL_ENGINE": "only"}
            # It would fail to start if it listened.
            async with process(only, port=taken.getsockname()[1], until_it_says="running") as runs:
                await logged(database, "opened")
                await client.contact("A")
                await logged(database, "joined")
                assert terms(serves) == []
                assert len(terms(runs)) == 1
                assert said(runs, "serving") == []
                assert await runs.end() == 0
                assert [entry["event"] for entry in runs.logged][-2:] == ["ending", "lease.given_up"]
        assert await status(serves.url, "readyz") == 503


@pytest.mark.soak
async def test_the_second_of_two_embedded_starts_goes_on_alone_when_the_first_is_killed(
    tmp_path: Path,
) -> None:
    environment = {"SHOAL_DATA_DIR": str(tmp_path / "data"), "SHOAL_ADMIN_KEY": KEY}
    async with process(environment) as first, Client(first.url, KEY) as client:
        await ready(first.url)
        segment = await client.segment("No email", "email is empty")
        assert await client.size(segment) == 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        async with process(environment, port=port) as second, Client(second.url, KEY) as other:
            await other.contact("A")
            assert await client.size(segment) == 1
            first.process.kill()
            await heard(second, "database.owner_ended")
            await heard(second, "serving", 2)
            assert await _size(other, segment) == 1
            assert await second.end() == 0
