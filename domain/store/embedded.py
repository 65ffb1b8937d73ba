"""The embedded database: a SecantusDB server of our own, as a child process, where no MongoDB is named.

Owns the child, its files and its port. All of it stands in `DATA_DIR/database`, open to its user alone:

    owner.lock      locked by the process that runs the server, for as long as it does
    files.lock      locked by the server itself (the lock is handed down to it), so that a server which is still
                    ending after its owner was killed keeps the next one waiting
    running.json    port and owner of the running server, for those who attach; counts only while the owner lives
    password        of the database's one user; made at the first start, never shown
    server.log      of this start; `server.log.previous` is of the one before
    files/          the database

The server listens on loopback alone, and wants the password all the same: any user of the machine can reach a
loopback port. So the very first start runs the server twice: open, to make the user, and then for good.

Refuses to start again what has died: whoever holds it learns of it by `died`, and decides.

Invariant: one server for a data directory, whoever starts when; what it acknowledged (`durable`) survives kill -9 of
anybody. Held by `tests/domain/store/test_embedded.py`.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import anyio.abc
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from domain.errors import StartupError

START_SECONDS = 60.0  # a large journal is worked through first
STOP_SECONDS = 5.0
OPLOG_ENTRIES = 5_000_000  # a change stream that the cap overtakes jumps ahead without an error
OPLOG_SECONDS = 7 * 24 * 3600
USER = "shoal"

_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 10.0
_ATTACH_SECONDS = (
    2.0  # a server that is ending may accept a connection and say nothing; then it is time to look again
)
_LOG_TAIL_LINES = 20
_LISTENING = re.compile(rb"listening on 127\.0\.0\.1:(\d+)")
_USER_EXISTS = 51003


class EmbeddedDatabaseError(StartupError):
    """The embedded database cannot be had; the message says what to do, or ends with the tail of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedDatabase:
    """A running embedded database. `uri` holds the password: it is for clients, not for logs."""

    uri: str = field(repr=False)
    port: int
    owned: bool
    _log: Path = field(repr=False)
    _process: anyio.abc.Process | None = field(repr=False)

    async def died(self) -> str:
        """Return once the server has ended, whoever ended it, with what is known about that."""
        if self._process is not None:
            status = await self._process.wait()
            return f"The embedded database ended with status {status}; its log ends with:\n{_tail(self._log)}"
        while True:
            # The server closes idle connections, so only one that cannot be opened again means its end.
            try:
                async with await anyio.connect_tcp("127.0.0.1", self.port) as connection:
                    await connection.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                await anyio.sleep(_POLL_SECONDS)
            except OSError:
                return f"The embedded database on port {self.port}, which another process ran, has ended."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where everything stands; see the module's docstring."""

    directory: Path

    @property
    def files(self) -> Path:
        return self.directory / "files"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def running(self) -> Path:
        return self.directory / "running.json"

    @property
    def password(self) -> Path:
        return self.directory / "password"

    def lock(self, name: str) -> int | None:
        """A descriptor that holds the lock until it is closed, or None while somebody else holds it."""
        descriptor = os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


@asynccontextmanager
async def running(
    data_dir: Path, *, durable: bool = True, server: Sequence[str] | None = None
) -> AsyncIterator[EmbeddedDatabase]:
    """The embedded database of this data directory: the one that runs already, or else one that runs until the exit.

    `durable` costs up to half the speed of writes, and lets acknowledged ones survive kill -9. `server` is the
    command of another server that takes the same flags. Raises `EmbeddedDatabaseError`.
    """
    place = _prepare(data_dir)
    command = _installed_server() if server is None else tuple(server)
    claim = await _claim_or_attach(place)
    if isinstance(claim, EmbeddedDatabase):
        yield claim
        return
    try:
        async with _owned(place, command, durable=durable) as database:
            yield database
    finally:
        os.close(claim)


def _prepare(data_dir: Path) -> _Place:
    place = _Place(directory=data_dir.resolve() / "database")
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.directory.mkdir(mode=0o700, exist_ok=True)
        place.directory.chmod(0o700)
        # An empty configuration keeps the server from picking one up in the home or working directory.
        (place.directory / "secantusd.toml").write_bytes(b"")
    except OSError as error:
        raise EmbeddedDatabaseError(
            f"{data_dir} cannot hold the database: {error.strerror}. Name a directory that can be written in "
            f"SHOAL_DATA_DIR."
        ) from error
    return place


def _installed_server() -> tuple[str, ...]:
    if importlib.util.find_spec("secantus") is None:
        raise EmbeddedDatabaseError(
            'The embedded database is not installed: pip install "shoal[embedded]". Or name a MongoDB replica set in '
            "SHOAL_MONGODB_URI."
        )
    # -P: its modules come from what is installed, never from the directory it runs in.
    return (sys.executable, "-P", "-m", "secantus")


async def _claim_or_attach(place: _Place) -> int | EmbeddedDatabase:
    """The owner's lock, or else the running server of the one who holds it; waits while that is starting or ending."""
    with anyio.move_on_after(START_SECONDS):
        while True:
            if (lock := place.lock("owner.lock")) is not None:
                return lock
            if (attached := await _attach(place)) is not None:
                return attached
            await anyio.sleep(_POLL_SECONDS)
    raise EmbeddedDatabaseError(
        f"{place.directory} is in use by another process, whose database does not answer. End that process, or name "
        f"another directory in SHOAL_DATA_DIR."
    )


# The owner


@asynccontextmanager
async def _owned(place: _Place, command: Sequence[str], *, durable: bool) -> AsyncIterator[EmbeddedDatabase]:
    place.running.unlink(missing_ok=True)  # an owner that was killed could not
    files = await _lock_files(place)
    try:
        if not (place.password.exists() and place.files.exists()):
            async with _serving(place, files, (*command, "--sync-on-commit")) as (_, port):
                with _explained(place):
                    await _make_user(place, port)
        for_good = (*command, "--auth", *(("--sync-on-commit",) if durable else ()))
        async with _serving(place, files, for_good) as (process, port):
            uri = _uri(port, place.password.read_text())
            with _explained(place):
                await _answer(uri)
            _write(place.running, json.dumps({"port": port, "owner": os.getpid()}))
            try:
                yield EmbeddedDatabase(uri=uri, port=port, owned=True, _log=place.log, _process=process)
            finally:
                place.running.unlink(missing_ok=True)
    finally:
        os.close(files)


async def _lock_files(place: _Place) -> int:
    with anyio.move_on_after(START_SECONDS):
        while True:
            if (files := place.lock("files.lock")) is not None:
                return files
            await anyio.sleep(_POLL_SECONDS)
    raise EmbeddedDatabaseError(
        f"A former database server still uses {place.files}: end it, and start again."
    )


@asynccontextmanager
async def _serving(
    place: _Place, files: int, command: Sequence[str]
) -> AsyncIterator[tuple[anyio.abc.Process, int]]:
    """A server process and its port, once it listens."""
    place.log.touch(mode=0o600)
    place.log.replace(place.log.with_suffix(".log.previous"))
    with open(place.log, "xb", opener=_private) as log:  # noqa: ASYNC230  # a local file, once
        process = await anyio.open_process(
            [
                *(sys.executable, "-I", str(Path(__file__).with_name("leash.py"))),
                *command,
                *("--config", str(place.directory / "secantusd.toml")),
                *("--host", "127.0.0.1", "--port", "0"),
                *("--storage-path", str(place.files)),
                *("--oplog-max-entries", str(OPLOG_ENTRIES)),
                *("--oplog-retention-seconds", str(OPLOG_SECONDS)),
            ],
            stdout=log,
            stderr=log,
            cwd=place.directory,
            start_new_session=True,  # Ctrl-C is for its owner, who ends it after its own last write
            pass_fds=[files],
        )
    port: int | None = None
    try:
        port = await _port(place, process)
        yield process, port
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process, port)


async def _port(place: _Place, process: anyio.abc.Process) -> int:
    """The port that the server itself bound, from its log: nobody else can have taken it in between."""
    with anyio.move_on_after(START_SECONDS):
        while process.returncode is None:
            if (match := _LISTENING.search(place.log.read_bytes())) is not None:
                return int(match[1])
            await anyio.sleep(_POLL_SECONDS)
    happened = "did not start in time" if process.returncode is None else "ended while starting"
    raise EmbeddedDatabaseError(f"The embedded database {happened}; its log ends with:\n{_tail(place.log)}")


async def _stop(process: anyio.abc.Process, port: int | None) -> None:
    """Tell it to end, wait, and then make it. Its files are safe either way."""
    if process.returncode is None:
        process.terminate()
    with anyio.move_on_after(STOP_SECONDS):
        async with anyio.create_task_group() as tasks:
            if port is not None:
                tasks.start_soon(_rouse, port)
            await process.wait()
            tasks.cancel_scope.cancel()
    if process.returncode is None:
        process.kill()
    await process.aclose()


async def _rouse(port: int) -> None:
    """Connect until nobody listens: the server sits in `accept` for two seconds before it sees that it is to end."""
    while True:
        await anyio.sleep(_POLL_SECONDS)
        try:
            socket.create_connection(("127.0.0.1", port), timeout=_POLL_SECONDS).close()
        except OSError:
            return


async def _make_user(place: _Place, port: int) -> None:
    """Give the open server its one user. The password is written down once the server has it for good."""
    password = secrets.token_urlsafe(32)
    who: dict[str, Any] = {"pwd": password, "roles": ["root"]}
    async with _client(f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
        try:
            await client.admin.command({"createUser": USER, **who})
        except OperationFailure as error:
            if error.code != _USER_EXISTS:
                raise
            # The file with its password is gone, or a first start was cut off before writing it.
            await client.admin.command({"updateUser": USER, **who})
    _write(place.password, password)


# Those who attach


async def _attach(place: _Place) -> EmbeddedDatabase | None:
    """The server of the owner who holds the lock, or None while it is not ready, or is ending."""
    try:
        running = json.loads(place.running.read_bytes())
        port, owner = int(running["port"]), int(running["owner"])
        os.kill(owner, 0)  # where the owner was killed its server may still answer, for the last time
        uri = _uri(port, place.password.read_text())
        await _answer(uri, timeout=_ATTACH_SECONDS)
    except (OSError, PyMongoError):
        return None
    return EmbeddedDatabase(uri=uri, port=port, owned=False, _log=place.log, _process=None)


def _uri(port: int, password: str) -> str:
    # Retryable writes slow this server down as it ages; a direct connection needs no discovery of its one member.
    return (
        f"mongodb://{USER}:{quote(password, safe='')}@127.0.0.1:{port}/"
        "?authSource=admin&directConnection=true&retryWrites=false&w=majority"
    )


async def _answer(uri: str, *, timeout: float = _ANSWER_SECONDS) -> None:
    async with _client(uri, timeout=timeout) as client:
        await client.admin.command("ping")


def _client(uri: str, *, timeout: float = _ANSWER_SECONDS) -> AsyncMongoClient[dict[str, Any]]:
    return AsyncMongoClient(uri, timeoutMS=int(timeout * 1000), serverSelectionTimeoutMS=int(timeout * 1000))


@contextmanager
def _explained(place: _Place) -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise EmbeddedDatabaseError(
            f"{error}; the log of the database ends with:\n{_tail(place.log)}"
        ) from error


# Files


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(path: Path, text: str) -> None:
    """All or nothing, and readable by nobody else."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=_private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n".join(f"    {line}" for line in lines) or "    (nothing)"
