"""Shoal with a defect put in on purpose: `defects.py NAME serve` is `python -m api serve` with it.

The oracle must fail on each of them; one that it passes says that the oracle looks away. Each takes out one thing that keeps the
feed exact, as it would look if somebody had not thought of it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parents[2]))

from domain.membership import changes, lease, placing, run, writer
from domain.store import checkpoint, stream
from domain.store.client import Database, DatabaseError, Document
from domain.store.log import LogEntry


def checkpoint_before_log() -> None:
    """The token is saved before the log: a crash in between leaves entries out."""
    write = writer.LogWriter.work

    async def work(self: writer.LogWriter) -> None:
        log_write = self._log.write

        async def later(entries: Sequence[LogEntry]) -> None:
            for output in list(self._early):  # type: ignore[attr-defined]
                await self._checkpoints.save(output, term=self._term)
            self._early.clear()  # type: ignore[attr-defined]
            await asyncio.sleep(0.3)
            await log_write(entries)

        self._early = []  # type: ignore[attr-defined]
        self._log.write = later  # type: ignore[method-assign]
        await write(self)

    put = writer.LogWriter.put

    async def put_early(self: writer.LogWriter, output: writer.Output) -> None:
        if output.checkpoint is not None:
            self._early.append(output.checkpoint)  # type: ignore[attr-defined]
        await put(self, output)

    writer.LogWriter.work = work  # type: ignore[method-assign]
    writer.LogWriter.put = put_early  # type: ignore[method-assign]


def looked_up_documents() -> None:
    """What a contact has become is looked up when the event is read, and may be later than the event."""
    watch = Database.watch

    def looked_up(self: Any, *given: Any, **options: Any) -> Any:
        return watch(self, *given, **{**options, "full_document": "updateLookup"})

    Database.watch = looked_up  # type: ignore[method-assign]
    after = changes._after

    def found(before: Any, event: Mapping[str, Any]) -> Any:
        if event["operationType"] == "update":
            return event.get("fullDocument")
        return after(before, event)

    changes._after = found


def no_fences() -> None:
    """A read counts as placed as soon as it has ended."""

    async def ask(self: placing.Placements, placement: Any) -> None:
        async with self._slots:
            await placement.ask(self._store.contacts(placement.account), self._pass_fence)
        placement.mark = 0

    placing.Placements._ask = ask  # type: ignore[method-assign]


def nothing_held_back() -> None:
    """What happens to an audience during an edit of it is told at once."""
    placing.Placements.hold = lambda *_: False  # type: ignore[method-assign]


def events_singly() -> None:
    """Each event of a transaction is a change by itself."""
    whole = run.Run._change

    async def singly(self: run.Run, moment: stream.Moment, events: list[Document]) -> None:
        for event in events:
            await whole(self, moment, [event])

    run.Run._change = singly  # type: ignore[method-assign]


def checkpoint_rolled_back() -> None:
    """An engine that returns after another took its place ends what it has begun first, and its checkpoint stands."""

    async def keep(self: lease.Candidate) -> NoReturn:
        holding = self._holding
        assert holding is not None
        while True:
            await asyncio.sleep(lease.RENEW_SECONDS)
            with suppress(DatabaseError):
                if not await self._leases.renew(holding.term):
                    await asyncio.sleep(2)
                    self._lose("another process has taken it")

    async def save(
        self: checkpoint.Checkpoints,
        saved: checkpoint.Checkpoint,
        *,
        term: int,
        back: bool = False,  # noqa: ARG001 # it may always go back
    ) -> bool:
        revisions = [{"account": each, "revision": last} for each, last in saved.revisions.items()]
        values = {"token": dict(saved.token), "position": saved.position, "revisions": revisions}
        await self._collection.update_one({"_id": "engine"}, {"$set": {**values, "term": term}}, upsert=True)
        return True

    lease.Candidate.keep = keep  # type: ignore[method-assign]
    lease.Candidate.holds = lambda self: self._holding is not None  # type: ignore[method-assign]
    checkpoint.Checkpoints.save = save  # type: ignore[method-assign, assignment]


DEFECTS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        *(checkpoint_before_log, looked_up_documents, no_fences, nothing_held_back, events_singly),
        checkpoint_rolled_back,
    )
}


def main() -> None:
    DEFECTS[sys.argv[1]]()
    sys.argv = ["api", *sys.argv[2:]]
    from api.__main__ import main as shoal

    shoal()


if __name__ == "__main__":
    main()
