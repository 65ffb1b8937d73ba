"""A server of one's own: `python -m api serve` as a child process, with its files in a directory that goes with it.

Owns the process: started, waited for, ended. It stays behind the leash of the embedded database's server, so that it ends with
this process even where this one is killed. What the environment says about another server (`SHOAL_*`) does not reach it.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from domain.errors import StartupError
from domain.store import embedded

SERVE = ("-m", "api", "serve")
START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05

_LEASH = Path(embedded.__file__).with_name("leash.py")
_SERVING = re.compile(r'"url": *"(http://[^"]+)/graphql"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that is ready."""

    url: str
    key: str = field(repr=False)
    data_dir: Path
    log: Path

    def log_tail(self) -> str:
        return _text(self.log)[-2000:]


@asynccontextmanager
async def own_server(serve: Sequence[str] = SERVE) -> AsyncIterator[Server]:
    """A server with an empty embedded database, until the exit, where it has ended and left nothing behind.

    `serve` is what Python is to run: it takes the arguments and the environment of `serve`. Raises `StartupError`.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-", ignore_cleanup_errors=True) as name:
        directory, key = Path(name), secrets.token_urlsafe(32)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
        environment |= {"SHOAL_DATA_DIR": str(directory / "data"), "SHOAL_ADMIN_KEY": key}
        log = directory / "server.log"
        with log.open("wb") as writer:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(_LEASH)),
                *(sys.executable, *serve, "--host", "127.0.0.1", "--port", "0"),
                env=environment,
                stdin=PIPE,  # the leash ends it when this pipe ends, and the pipe ends with this process
                stdout=writer,
                stderr=writer,
                start_new_session=True,  # Ctrl-C is for us, who end it when we have seen the last of it
            )
        try:
            yield Server(url=await _ready(process, log), key=key, data_dir=directory / "data", log=log)
        finally:
            await asyncio.shield(_stop(process))


async def _ready(process: Process, log: Path) -> str:
    """The address, from the log, once the server says that it is ready."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            while process.returncode is None:
                if (said := _SERVING.search(_text(log))) is not None:
                    with suppress(httpx.HTTPError):
                        if (await http.get(f"{said[1]}/readyz")).is_success:
                            return said[1]
                await asyncio.sleep(POLL_SECONDS)
    happened = "did not become ready in time" if process.returncode is None else "ended while starting"
    raise StartupError(f"The server {happened}; its log ends with:\n{_text(log)[-2000:]}")


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


async def _stop(process: Process) -> None:
    """Tell it to end, wait, and then make it."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
