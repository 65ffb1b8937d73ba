"""The writer behind the engine: puts entries into the log and saves the checkpoint after them, in that order.

Owns the order of the two. The engine goes on meanwhile and tells what it found before it is written; a bounded queue holds
it back where the database is slower than the stream. A crash in between loses nothing: the checkpoint is behind, the same
events are worked through again, and give the same entries. For the same reason two writers harm nothing, one of whom does not
know yet that it was replaced: the log keeps an entry as it was first written, and the checkpoint goes by terms.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from domain.membership import position as positions
from domain.membership.position import Position
from domain.store.checkpoint import Checkpoint, Checkpoints
from domain.store.log import LogEntry, MembershipLog

MAX_WAITING_BATCHES = 100
MAX_ENTRIES_AT_ONCE = 1000
CHECKPOINT_EVERY_SECONDS = 0.25
GATHER_SECONDS = 0.005
"""Before a write: what was told reaches its watchers first, and what comes close together is written together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the engine told by the message of this number. `checkpoint` is where it may begin again once this is written."""

    number: int
    entries: tuple[LogEntry, ...]
    checkpoint: Checkpoint | None


@dataclass(slots=True)
class Written:
    """What the database has acknowledged, as this process remembers it: a database that does not hold it was put back."""

    term: int = 0
    checkpoint: Position = positions.BEGINNING
    """Where the last checkpoint lies that was saved, in that term."""
    entry: LogEntry | None = None
    """One of the last entries."""

    async def is_gone_from(self, known: Checkpoint, log: MembershipLog) -> bool:
        """Whether the database no longer holds what it has acknowledged. A later term may have saved an earlier checkpoint."""
        if known.term <= self.term and known.position < self.checkpoint:
            return True
        if self.entry is None:
            return False
        newest = await log.of(self.entry.account).newest(self.entry.audience, upto=positions.LATEST)
        return newest is None or newest.position < self.entry.position


class LogWriter:
    """Writes outputs in their order. `on_written` is told the number of the last that is in the log."""

    def __init__(
        self,
        log: MembershipLog,
        checkpoints: Checkpoints,
        on_written: Callable[[int], Awaitable[None]],
        written: Written,
        *,
        term: int,
    ) -> None:
        self._log = log
        self._term = term
        self._checkpoints = checkpoints
        self._on_written = on_written
        self._queue: asyncio.Queue[Output | None] = asyncio.Queue(MAX_WAITING_BATCHES)
        self._unsaved: Checkpoint | None = None
        self._saved_at = 0.0
        self._written = written
        self.seen: Position | None = None
        """Where the checkpoint was that was found or saved last."""

    async def put(self, output: Output) -> None:
        """Hand over an output; waits while too many are waiting."""
        await self._queue.put(output)

    async def close(self) -> None:
        """After what was handed over before is written and the checkpoint saved, `work` returns."""
        await self._queue.put(None)

    async def work(self) -> None:
        """Write until closed. Raises what the database raises, and `PutBack`: the engine's run ends with it."""
        open_ = True
        while open_:
            outputs, open_ = await self._take()
            entries = [entry for output in outputs for entry in output.entries]
            if entries:
                await self._log.write(entries)
                self._written.entry = entries[-1]
            if outputs:
                await self._on_written(outputs[-1].number)
            for output in outputs:
                self._unsaved = output.checkpoint or self._unsaved
            if self._unsaved is not None and (not open_ or self._save_in() <= 0):
                await self.save(self._unsaved)

    def _save_in(self) -> float:
        """Seconds until a checkpoint is to be saved."""
        return self._saved_at + CHECKPOINT_EVERY_SECONDS - time.monotonic()

    async def _take(self) -> tuple[list[Output], bool]:
        """What is waiting, at least one output unless a checkpoint is to be saved first; whether more may come."""
        outputs: list[Output] = []
        count = 0
        while count < MAX_ENTRIES_AT_ONCE and (not outputs or not self._queue.empty()):
            patience = None if self._unsaved is None or outputs else max(0.0, self._save_in())
            try:
                # `wait_for` would swallow what ends this run, where that comes together with an output.
                async with asyncio.timeout(patience):
                    output = await self._queue.get()
            except TimeoutError:
                return outputs, True
            if output is None:
                return outputs, False
            if not outputs:
                await asyncio.sleep(GATHER_SECONDS)
            outputs.append(output)
            count += len(output.entries)
        return outputs, True

    async def save(self, checkpoint: Checkpoint, *, back: bool = False) -> bool:
        """Save a checkpoint at once: everything before it is in the log. Whether it stands: see `Checkpoints.save`."""
        stands = await self._checkpoints.save(
            checkpoint, term=self._term, seen=None if back else self.seen, back=back
        )
        self._unsaved = None
        self._saved_at = time.monotonic()
        if stands:
            self.seen = Position(checkpoint.position)
            self._written.term, self._written.checkpoint = self._term, self.seen
        return stands
