"""Readers: who reads a file while the event loop does other things.

Owns the choice. A thread reads what is done within a second or two. A longer file gets a process of its own (`apart`), which reads
ahead while this one writes: to make sense of cells takes as long as to write them, and a thread would take that time from
every request. The process ends with its reader, and by itself where this process is killed, as soon as it has something to say.
Held by `tests/domain/imports/test_readers.py`.

Cost: of a process half a second at its start, and some 50 MB; of each row some 30 µs to hand it over.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

from domain.errors import Unavailable
from domain.imports import frames
from domain.imports.passes import Found, Onward, ReadRequest, Steps, following, passes

APART_FROM = 2_000_000
"""Bytes of a file that is read in a process of its own."""

COMMAND = (sys.executable, "-P", "-m", "domain.imports.apart")


class Reader(Protocol):
    """Both passes over one file."""

    async def next(self, onward: Onward | None = None) -> Found | None:
        """The next of `domain.imports.passes.passes`, which is sent `onward`; None at the end.

        Raises what that does, and `Unavailable` where the process that reads was ended.
        """
        ...


@asynccontextmanager
async def reading(request: ReadRequest, *, size: int) -> AsyncIterator[Reader]:
    """Whoever reads a file of so many bytes."""
    if size < APART_FROM:
        with closing(passes(request)) as found:
            yield _Thread(found)
        return
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=PIPE,
        stdout=PIPE,
        env=environment(),
        # Whoever interrupts a command at the terminal means the command, which ends this one.
        start_new_session=True,
    )
    try:
        reader = _Apart(process)
        reader.say(request)
        yield reader
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def environment() -> dict[str, str]:
    """In which `COMMAND` finds what this process has found: this package first, and the libraries wherever they are."""
    paths = (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


class _Thread:
    def __init__(self, found: Steps) -> None:
        self._found = found

    async def next(self, onward: Onward | None = None) -> Found | None:
        step = asyncio.ensure_future(asyncio.to_thread(following, self._found, onward))
        try:
            return await asyncio.shield(step)
        except asyncio.CancelledError:
            # Only when the thread has done its step, file and table can be closed.
            await asyncio.gather(step, return_exceptions=True)
            raise


class _Apart:
    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._to = process.stdin
        self._from = process.stdout

    def say(self, what: ReadRequest | Onward) -> None:
        self._to.write(frames.packed(what))

    async def next(self, onward: Onward | None = None) -> Found | None:
        if onward is not None:
            self.say(onward)
        try:
            length = frames.length_of(await self._from.readexactly(frames.HEAD))
            said = frames.unpacked(await self._from.readexactly(length))
        except asyncio.IncompleteReadError:
            # By a signal, as where memory was short; else it failed, and has said why on the standard error.
            if (code := await self._process.wait()) < 0:
                raise Unavailable("The process that reads the file was ended. Try again.") from None
            raise RuntimeError(f"The process that reads the file failed ({code}).") from None
        if isinstance(said, BaseException):
            raise said
        found: Found | None = said
        return found
