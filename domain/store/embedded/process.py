"""The server process of the embedded database: started, waited for, ended.

Owns one run of the server on the files of a `Place`, from the first instruction to the last. The server stays behind its
leash (`leash.py`), so that it ends with this process even where nothing here can run any more.
"""

import re
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc

from domain.store.embedded.place import EmbeddedDatabaseError, Place, private

START_SECONDS = 60.0  # a large journal is worked through first
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
OPLOG_ENTRIES = 5_000_000  # a change stream that the cap overtakes jumps ahead without an error
OPLOG_SECONDS = 7 * 24 * 3600

_LISTENING = re.compile(rb"listening on 127\.0\.0\.1:(\d+)")


@asynccontextmanager
async def serving(
    place: Place, files: int, command: Sequence[str]
) -> AsyncIterator[tuple[anyio.abc.Process, int]]:
    """A server process and its port, once it listens."""
    place.log.touch(mode=0o600)
    place.log.replace(place.log.with_suffix(".log.previous"))
    with open(place.log, "xb", opener=private) as log:  # noqa: ASYNC230  # a local file, once
        process = await anyio.open_process(
            [
                *(sys.executable, "-I", str(Path(__file__).with_name("leash.py"))),
                *command,
                *("--config", str(place.configuration)),
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


async def _port(place: Place, process: anyio.abc.Process) -> int:
    """The port that the server itself bound, from its log: nobody else can have taken it in between."""
    with anyio.move_on_after(START_SECONDS):
        while process.returncode is None:
            if (match := _LISTENING.search(place.log.read_bytes())) is not None:
                return int(match[1])
            await anyio.sleep(POLL_SECONDS)
    happened = "did not start in time" if process.returncode is None else "ended while starting"
    raise EmbeddedDatabaseError(f"The embedded database {happened}; its log ends with:\n{place.log_tail()}")


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
        await anyio.sleep(POLL_SECONDS)
        try:
            socket.create_connection(("127.0.0.1", port), timeout=POLL_SECONDS).close()
        except OSError:
            return
