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

import importlib.util
import json
import os
import secrets
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

from domain.store.embedded.place import EmbeddedDatabaseError, Place, prepare, write
from domain.store.embedded.process import POLL_SECONDS, START_SECONDS, serving

__all__ = ["EmbeddedDatabase", "EmbeddedDatabaseError", "running"]

USER = "shoal"

_USER_EXISTS = 51003
_ANSWER_SECONDS = 10.0
# A server that is ending may accept a connection and say nothing; then it is time to look again.
_ATTACH_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedDatabase:
    """A running embedded database. `uri` holds the password: it is for clients, not for logs."""

    uri: str = field(repr=False)
    port: int
    owned: bool
    _place: Place = field(repr=False)
    _process: anyio.abc.Process | None = field(repr=False)

    async def died(self) -> str:
        """Return once the server has ended, whoever ended it, with what is known about that."""
        if self._process is not None:
            status = await self._process.wait()
            return f"The embedded database ended with status {status}; its log ends with:\n{self._place.log_tail()}"
        while True:
            # The server closes idle connections, so only one that cannot be opened again means its end.
            try:
                async with await anyio.connect_tcp("127.0.0.1", self.port) as connection:
                    await connection.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                await anyio.sleep(POLL_SECONDS)
            except OSError:
                return f"The embedded database on port {self.port}, which another process ran, has ended."


@asynccontextmanager
async def running(
    data_dir: Path, *, durable: bool = True, server: Sequence[str] | None = None
) -> AsyncIterator[EmbeddedDatabase]:
    """The embedded database of this data directory: the one that runs already, or else one that runs until the exit.

    `durable` costs up to half the speed of writes, and lets acknowledged ones survive kill -9. `server` is the
    command of another server that takes the same flags. Raises `EmbeddedDatabaseError`.
    """
    place = prepare(data_dir)
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


def _installed_server() -> tuple[str, ...]:
    if importlib.util.find_spec("secantus") is None:
        raise EmbeddedDatabaseError(
            'The embedded database is not installed: pip install "shoal[embedded]". Or name a MongoDB replica set in '
            "SHOAL_MONGODB_URI."
        )
    # -P: its modules come from what is installed, never from the directory it runs in.
    return (sys.executable, "-P", "-m", "secantus")


async def _claim_or_attach(place: Place) -> int | EmbeddedDatabase:
    """The owner's lock, or else the running server of the one who holds it; waits while that is starting or ending."""
    with anyio.move_on_after(START_SECONDS):
        while True:
            if (lock := place.lock("owner.lock")) is not None:
                return lock
            if (attached := await _attach(place)) is not None:
                # An owner that was killed meanwhile is not worth attaching to: its server ends as well.
                return attached if (lock := place.lock("owner.lock")) is None else lock
            await anyio.sleep(POLL_SECONDS)
    raise EmbeddedDatabaseError(
        f"{place.directory} is in use by another process, whose database does not answer. End that process, or name "
        f"another directory in SHOAL_DATA_DIR."
    )


# The owner


@asynccontextmanager
async def _owned(place: Place, command: Sequence[str], *, durable: bool) -> AsyncIterator[EmbeddedDatabase]:
    place.running.unlink(missing_ok=True)  # an owner that was killed could not
    files = await _lock_files(place)
    try:
        if not (place.password.exists() and place.files.exists()):
            async with serving(place, files, (*command, "--sync-on-commit")) as (_, port):
                with _explained(place):
                    await _make_user(place, port)
        for_good = (*command, "--auth", *(("--sync-on-commit",) if durable else ()))
        async with serving(place, files, for_good) as (process, port):
            uri = _uri(port, place.password.read_text())
            with _explained(place):
                await _answer(uri)
            write(place.running, json.dumps({"port": port, "owner": os.getpid()}))
            try:
                yield EmbeddedDatabase(uri=uri, port=port, owned=True, _place=place, _process=process)
            finally:
                place.running.unlink(missing_ok=True)
    finally:
        os.close(files)


async def _lock_files(place: Place) -> int:
    with anyio.move_on_after(START_SECONDS):
        while True:
            if (files := place.lock("files.lock")) is not None:
                return files
            await anyio.sleep(POLL_SECONDS)
    raise EmbeddedDatabaseError(
        f"A former database server still uses {place.files}: end it, and start again."
    )


async def _make_user(place: Place, port: int) -> None:
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
    write(place.password, password)


# Those who attach


async def _attach(place: Place) -> EmbeddedDatabase | None:
    """The server of the owner who holds the lock, or None while it is not ready, or is ending."""
    try:
        running = json.loads(place.running.read_bytes())
        port, owner = int(running["port"]), int(running["owner"])
        os.kill(owner, 0)  # where the owner was killed its server may still answer, for the last time
        uri = _uri(port, place.password.read_text())
        await _answer(uri, timeout=_ATTACH_SECONDS)
    except (OSError, PyMongoError):
        return None
    return EmbeddedDatabase(uri=uri, port=port, owned=False, _place=place, _process=None)


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
def _explained(place: Place) -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise EmbeddedDatabaseError(
            f"{error}; the log of the database ends with:\n{place.log_tail()}"
        ) from error
