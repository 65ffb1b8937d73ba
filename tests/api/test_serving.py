"""The server as a process: how it starts, what it says, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import Process

from api.server import serving
from api.settings import Settings
from domain.contact import Contact
from domain.contacts import Contacts
from domain.errors import StartupError
from domain.membership.engine import Engine
from domain.membership.messages import Progress
from domain.membership.position import BEGINNING
from domain.store.client import connect
from tests.api.client import Client, Socket, raw_socket, until
from tests.api.conftest import CALLERS, KEY, key_of
from tests.api.test_campaigns import campaign, step
from tests.api.test_deliveries import set_webhook
from tests.receiver import SECRET, receiving

PROCESS_SECONDS = 60.0
"""For a process to start or to end, on a machine that is busy."""


class Server:
    """`python -m api serve`, as a process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.logged: list[dict[str, Any]] = []
        self.said = ""

    @property
    def url(self) -> str:
        """The last: it may have had to start again."""
        return str([entry for entry in self.logged if entry["event"] == "serving"][-1]["url"])

    async def read(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async with anyio.create_task_group() as reading:
            reading.start_soon(self._read_output)
            rest = b""
            async for part in self.process.stderr:
                *lines, rest = (rest + part).split(b"\n")
                self.logged += [_entry(line) for line in lines if line]

    async def _read_output(self) -> None:
        assert self.process.stdout is not None
        async for part in self.process.stdout:
            self.said += part.decode()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its status, once it has ended upon the signal."""
        self.process.send_signal(number)
        with anyio.fail_after(PROCESS_SECONDS):
            return await self.process.wait()


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"event": line.decode()}
    return entry


@asynccontextmanager
async def process(
    environment: Mapping[str, str], *, port: int = 0, until_it_says: str | None = "serving"
) -> AsyncIterator[Server]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    started = await anyio.open_process(
        [sys.executable, "-m", "api", "serve", "--port", str(port)],
        env={**inherited, **environment},
        cwd=Path(__file__).parents[2],
    )
    server = Server(started)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.read)
        try:
            if until_it_says is not None:
                await until(
                    lambda: (
                        started.returncode is not None
                        or any(entry["event"] == until_it_says for entry in server.logged)
                    ),
                    seconds=PROCESS_SECONDS,
                )
                assert started.returncode is None, server.logged
            yield server
        finally:
            if started.returncode is None:
                started.kill()
            await started.wait()
    await started.aclose()


async def test_a_process_told_to_end_closes_its_sockets_and_ends_well(environment: dict[str, str]) -> None:
    async with process(environment) as server, Client(server.url, KEY) as client:
        await ready(server.url)
        segment = await client.segment("No email", "email is empty")
        async with client.watching(segment) as watcher, raw_socket(server.url) as silent:
            await watcher.event()
            status = asyncio.create_task(server.end())
            assert await watcher.closed() == (1001, "The server is ending")
            assert (await Socket(silent).closed())[0] == 1001
            assert await status == 0
        said = [entry["event"] for entry in server.logged]
        assert [event for event in said if event in {"serving", "ending"}] == ["serving", "ending"]
        assert [event for event in said if "lease" in event] == ["lease.taken", "lease.given_up"]


@pytest.mark.soak
async def test_a_client_that_does_not_read_holds_up_no_end(environment: dict[str, str]) -> None:
    query = """
    subscription ($audience: ID!) {
      membershipChanges(audience: $audience) { ... on Move { contact { attributes { value } } } }
    }
    """
    async with process(environment) as server, Client(server.url, KEY) as client:
        await ready(server.url)
        keys = [await client.field(f"Long {number}") for number in range(20)]
        segment = await client.segment("No email", "email is empty")
        async with client.socket() as deaf:
            # More than the buffers between the two hold, on many subscriptions, none of it ever read.
            for number in range(50):
                await deaf.subscribe(query, operation=str(number), audience=segment)
            for _ in range(50):
                await deaf.receive()
            deaf.connection.transport.pause_reading()
            for number in range(3):
                await client.upsert({f"C{number}-{n}": dict.fromkeys(keys, "x" * 9_000) for n in range(3)})
            assert await client.size(segment) == 9
            assert await server.end() == 0
            deaf.connection.transport.abort()


async def ready(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        with anyio.fail_after(PROCESS_SECONDS):
            while (await http.get(url.replace("graphql", "readyz"))).status_code != 200:  # noqa: ASYNC110 # another process
                await asyncio.sleep(0.01)


async def test_no_key_is_logged_even_where_everything_is(environment: dict[str, str]) -> None:
    async with (
        process({**environment, "SHOAL_LOG_LEVEL": "debug", "SHOAL_PRIVATE_TARGETS": "yes"}) as server,
        Client(server.url, KEY) as client,
        receiving() as receiver,
    ):
        contact = await client.contact("A", first_name="A secret name")
        async with client.socket() as socket:
            await socket.subscribe("{ contacts { nodes { key } } }")
            await socket.receive()
        async with Client(server.url, "a-wrong-key") as stranger:
            assert (await stranger.ask("{ __typename }"))["errors"][0]["extensions"][
                "code"
            ] == "UNAUTHENTICATED"
        assert contact
        await set_webhook(client, f"{receiver.url}&token=a-token")
        given = {"host": "127.0.0.1", "sender": "a@example.org", "username": "a", "password": "a-password"}
        await client.data(
            "mutation ($input: SetSmtpChannelInput!) { setSmtpChannel(input: $input) { errors { code } } }",
            input=given,
        )
        sent = await campaign(client, await client.segment("Everybody", "email is empty"), channel="WEBHOOK")
        assert (await step(client, "launchCampaign", sent))["errors"] == []
        await until(lambda: bool(receiver.taken), seconds=PROCESS_SECONDS)
        assert await server.end(signal.SIGINT) == 0
        logged = json.dumps(server.logged)
        ours = (SECRET, "a-token", "a-password", "A secret name")
        for secret in (KEY, "a-wrong-key", environment["SHOAL_MONGODB_URI"], *ours):
            assert secret not in logged


async def test_an_embedded_start_makes_a_key_says_it_once_and_finds_its_data_again(tmp_path: Path) -> None:
    environment = {"SHOAL_DATA_DIR": str(tmp_path / "data")}
    async with process(environment) as server:
        key = (tmp_path / "data" / "admin-key").read_text().strip()
        async with Client(server.url, key) as client:
            await client.contact("A")
        assert await server.end() == 0
        assert server.said.count(key) == 1
        assert key not in json.dumps(server.logged)
    async with process(environment) as server:
        async with Client(server.url, key) as client:
            assert await client.data("{ contacts { totalCount } }") == {"totalCount": 1}
        assert await server.end() == 0
        assert server.said == ""


async def test_a_process_that_cannot_start_says_why_and_ends_with_1(environment: dict[str, str]) -> None:
    cases = [
        {"SHOAL_ADMIN_KEY": "short"},
        {"SHOAL_HOST": "203.0.113.1"},
    ]
    for wrong in cases:
        async with process({**environment, **wrong}, until_it_says=None) as server:
            with anyio.fail_after(PROCESS_SECONDS):
                assert await server.process.wait() == 1
        # What it says is read to its end by then.
        (said,) = [str(entry["event"]) for entry in server.logged]
        assert said.startswith("SHOAL_")


async def test_a_database_that_cannot_be_reached_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.store.client.connect", partial(connect, timeout_seconds=0.2))
    with pytest.raises(StartupError, match="SHOAL_MONGODB_URI: the database cannot be used"):
        async with serving(replace(settings, mongodb_uri="mongodb://127.0.0.1:1"), CALLERS):
            pass


async def test_a_request_in_flight_is_finished_before_the_server_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    page = Contacts.page

    async def slow(self: Contacts, *arguments: Any, **more: Any) -> list[Contact]:
        begun.set()
        await go_on.wait()
        return await page(self, *arguments, **more)

    monkeypatch.setattr(Contacts, "page", slow)
    async with serving(settings, CALLERS) as here, Client(here.url, key_of("default")) as client:
        asked = asyncio.create_task(client.ask("{ contacts { totalCount } }"))
        await begun.wait()
        here.server.should_exit = True
        await until(lambda: not here.shoal.sockets.open)
        with pytest.raises((httpx.ConnectError, httpx.RemoteProtocolError)):
            await client.ask("{ __typename }")
        go_on.set()
        assert await asked == {"data": {"contacts": {"totalCount": 0}}}


async def test_servers_beside_each_other_in_one_process_share_nothing_but_the_database(
    settings: Settings,
) -> None:
    async with serving(settings, CALLERS) as one, serving(settings, CALLERS) as two:
        assert one.url != two.url
        async with Client(one.url, key_of("default")) as writer, Client(two.url, key_of("default")) as reader:
            await writer.contact("A")
            assert await reader.data("{ contacts { totalCount } }") == {"totalCount": 1}


async def test_a_defect_of_the_engine_is_noticed_and_the_server_is_not_ready_any_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = asyncio.Event()

    async def work(self: Engine) -> None:
        await self._publish(
            Progress(term=1, run="run", number=1, since=BEGINNING, position=BEGINNING, logged=0)
        )
        await failing.wait()
        raise KeyError("a defect")

    monkeypatch.setattr(Engine, "work", work)
    async with serving(settings, CALLERS) as here:
        assert await status(here.url, "readyz") == 200
        failing.set()
        await until(here.shoal.failed.is_set)
        assert await status(here.url, "readyz") == 503
        assert await status(here.url, "healthz") == 200


async def status(url: str, probe: str) -> int:
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        return (await http.get(url.replace("graphql", probe))).status_code


async def test_a_server_is_not_ready_before_its_engine_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(self: Engine) -> None:
        await self._stopping.wait()

    monkeypatch.setattr(Engine, "work", work)
    async with serving(settings, CALLERS) as here:
        assert await status(here.url, "readyz") == 503


async def test_a_port_that_is_taken_is_told(settings: Settings) -> None:
    async with serving(settings, CALLERS) as here:
        with pytest.raises(StartupError, match=f"SHOAL_PORT: 127.0.0.1:{here.port} "):
            async with serving(replace(settings, port=here.port), CALLERS):
                pass


@pytest.mark.soak
async def test_a_process_whose_embedded_database_dies_ends_with_1(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with process({"SHOAL_DATA_DIR": str(data)}) as server:
        for identifier, command in _processes():
            if str(data) in command and "--auth" in command:
                os.kill(identifier, signal.SIGKILL)
        with anyio.fail_after(PROCESS_SECONDS):
            assert await server.process.wait() == 1
        (ended,) = [entry for entry in server.logged if entry["event"] == "part.ended"]
        assert ended["part"] == "database"


def _processes() -> list[tuple[int, str]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")))
            except OSError:
                continue
    return found
