"""A server of one's own: `python -m api serve` as a child process, with its files in a directory that goes with it.

Owns the process: started, waited for, ended. It stays behind the leash of the embedded database's server, so that it ends with
this process even where this one is killed. What the environment says about another server (`SHOAL_*`) does not reach it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from domain.errors import StartupError
from domain.store import embedded

START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05

SERVE = ("-m", "api", "serve")
_LEASH = Path(embedded.__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    url: str
    key: str = field(repr=False)
    directory: Path


@asynccontextmanager
async def own_server(serve: Sequence[str] = SERVE) -> AsyncIterator[Server]:
    """A server with an empty database, ready to answer; at the exit it has ended and left nothing behind.

    `serve` is what Python is to run, with the arguments of `serve`. Raises `StartupError`.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-demo-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        port, key = _free_port(), secrets.token_urlsafe(32)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
        environment |= {"SHOAL_DATA_DIR": str(directory / "data"), "SHOAL_ADMIN_KEY": key}
        with (directory / "server.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(_LEASH)),
                *(sys.executable, *serve, "--host", "127.0.0.1", "--port", str(port)),
                env=environment,
                stdin=PIPE,  # the leash: it ends with this process
                stdout=log if serve is SERVE else None,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who end it when we have seen the last of it
            )
        server = Server(url=f"http://127.0.0.1:{port}", key=key, directory=directory)
        try:
            await _ready(server, process)
            yield server
        finally:
            await asyncio.shield(_stop(process))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
