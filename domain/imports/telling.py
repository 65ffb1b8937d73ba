"""What is told of an import while it goes on: how far it is, how fast, and what became of its rows.

Owns what is noted, and when. Of a run that ends, by itself or because somebody wants that, the last note says how it stood: a
note that is on its way is waited for and not cancelled, since the database would take it all the same, perhaps after the last.
Held by `tests/domain/imports/test_telling.py`. Cost: a small write a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from domain.errors import ShoalError
from domain.imports.running import Progress, Report
from domain.jobs import Cancelled, Lost, Run
from domain.store.client import DatabaseError

NOTE_EVERY_SECONDS = 1.0
RATE_SECONDS = 5.0
SURVEY_SHARE = 10
"""Of a hundred per cent: the first pass."""


class Telling:
    """Of one run."""

    def __init__(self, run: Run, report: Report, *, trial: bool) -> None:
        self._run = run
        self._report = report
        self._trial = trial
        self._percent = 0
        self._rows = [(time.monotonic(), report.counts.rows)]
        self._done = run.document.get("percent") or 0
        self._over = asyncio.Event()

    def progress(self, progress: Progress) -> None:
        """Raises `Cancelled`, and `Lost`."""
        if self._run.lost:
            raise Lost
        if self._run.cancelled:
            raise Cancelled
        share = progress.position / max(1, progress.size)
        self._percent = int(
            SURVEY_SHARE + (100 - SURVEY_SHARE) * share if progress.writing else SURVEY_SHARE * share
        )

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Tell until the block is left, and how it stood then, unless the process ends. Raises `Lost`."""
        noting = asyncio.create_task(self._note_often())
        try:
            yield
        except (Cancelled, ShoalError):
            await self._end(noting)
            raise
        except BaseException:
            noting.cancel()
            await asyncio.wait({noting})
            raise
        await self._end(noting)

    async def _end(self, noting: asyncio.Task[None]) -> None:
        self._over.set()
        await asyncio.wait({noting})
        await self._note()

    async def _note_often(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTE_EVERY_SECONDS):
                    await self._over.wait()
                return
            with suppress(DatabaseError, Lost):
                # Where it is lost, `progress` says so.
                await self._note()

    async def _note(self) -> None:
        moment, counts = time.monotonic(), self._report.counts
        self._rows = [each for each in self._rows if each[0] > moment - RATE_SECONDS] or self._rows[-1:]
        since, rows = self._rows[0]
        self._rows.append((moment, counts.rows))
        rate = (counts.rows - rows) / (moment - since) if moment > since else 0.0
        # A run that goes on reads the file again from its beginning: what was told once is not taken back.
        self._done = max(self._done, min(99, self._percent))
        news: dict[str, Any] = {"percent": self._done, "rate": round(rate, 1), "total": self._report.total}
        if not self._trial:
            news["counts"] = asdict(counts)
        await self._run.note(**news)
